package mllp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/ehr/mllp"
	"github.com/handoff-health/handoff/adapters/inbox"
)

// A keeper is an inbox in memory.
type keeper struct {
	mu       sync.Mutex
	arrivals []inbox.Arrival
	keys     map[string]uint64
	bodies   map[string]string
	busy     int           // how often it is full yet
	gate     chan struct{} // Receive waits for it
	waits    chan struct{} // told when Receive waits for gate
	fail     error
	bad      map[uint64]mllp.Outcome // else AA
	late     chan struct{}           // Outcome waits for it
}

func (k *keeper) Receive(ctx context.Context, a inbox.Arrival) (inbox.Receipt, error) {
	if k.gate != nil {
		if k.waits != nil {
			k.waits <- struct{}{}
		}
		select {
		case <-k.gate:
		case <-ctx.Done():
			return inbox.Receipt{}, ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return inbox.Receipt{}, k.fail
	}
	if k.busy > 0 {
		k.busy--
		return inbox.Receipt{}, inbox.ErrBusy
	}
	if k.keys == nil {
		k.keys, k.bodies = map[string]uint64{}, map[string]string{}
	}
	if seq, ok := k.keys[a.Key]; ok && k.bodies[a.Key] == string(a.Body) {
		return inbox.Receipt{Seq: seq, Duplicate: true}, nil
	}
	k.arrivals = append(k.arrivals, a)
	seq := uint64(len(k.arrivals))
	if _, ok := k.keys[a.Key]; ok {
		return inbox.Receipt{Seq: seq}, inbox.ErrCollision
	}
	k.keys[a.Key], k.bodies[a.Key] = seq, string(a.Body)
	return inbox.Receipt{Seq: seq}, nil
}

func (k *keeper) outcome(ctx context.Context, seq uint64) (mllp.Outcome, error) {
	if k.late != nil {
		select {
		case <-k.late:
		case <-ctx.Done():
			return mllp.Outcome{}, ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if o, ok := k.bad[seq]; ok {
		return o, nil
	}
	return mllp.Outcome{Code: hl7v2.ApplicationAccept}, nil
}

func (k *keeper) kept() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, a := range k.arrivals {
		out = append(out, string(a.Body))
	}
	return out
}

func (k *keeper) setBusy(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = n
}

type running struct {
	addr string
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, k *keeper, change func(*mllp.Options)) *running {
	t.Helper()
	o := mllp.Options{Inbox: k, Outcome: k.outcome, Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }}
	if change != nil {
		change(&o)
	}
	l, err := mllp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{addr: in.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() { r.done <- l.Serve(ctx, in) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-r.done:
		case <-time.After(time.Minute):
			t.Error("the listener does not end")
		}
	})
	return r
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// adt is a message with MSH-15 and MSH-16.
func adt(id, accept, application string) string {
	return "MSH|^~\\&|EPIC|MERCY|HANDOFF|COUNTY|20260301120000||ADT^A01^ADT_A01|" + id + "|P|2.5.1|||" + accept + "|" + application + "\rPID|1||M1^^^MERCY^MR\r"
}

// say writes and gives the acknowledgements that come, as "AA id", up to n of
// them, or those that came when nothing followed for a while.
func say(t *testing.T, c net.Conn, n int, stream string) []string {
	t.Helper()
	if _, err := io.WriteString(c, stream); err != nil {
		t.Fatal(err)
	}
	return hear(t, c, n)
}

// try is say where the other side may have hung up already.
func try(t *testing.T, c net.Conn, stream string) []string {
	t.Helper()
	if _, err := io.WriteString(c, stream); err != nil {
		time.Sleep(10 * time.Millisecond)
		return []string{"!" + reason(err)}
	}
	return hear(t, c, 1)
}

func hear(t *testing.T, c net.Conn, n int) []string {
	t.Helper()
	var out []string
	split := &mllp.Splitter{}
	buf := make([]byte, 4096)
	for len(out) < n {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		got, err := c.Read(buf)
		for in := buf[:got]; ; {
			used, f, ok := split.Next(in)
			in = in[used:]
			if !ok {
				break
			}
			out = append(out, short(string(f.Body)))
		}
		if err != nil {
			return append(out, "!"+reason(err))
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(80 * time.Millisecond))
	if got, err := c.Read(buf); got > 0 {
		t.Errorf("more came: %q", buf[:got])
	} else if reason(err) == "end" && n == 0 {
		out = append(out, "!end")
	}
	return out
}

func reason(err error) string {
	var te net.Error
	switch {
	case errors.Is(err, io.EOF):
		return "end"
	case errors.As(err, &te) && te.Timeout():
		return "silence"
	}
	return "reset"
}

// short is "AE id 207 busy" of an acknowledgement.
func short(ack string) string {
	out := ""
	for _, seg := range strings.Split(ack, "\r") {
		f := strings.Split(seg, "|")
		switch f[0] {
		case "MSA":
			out = f[1] + " " + f[2]
		case "ERR":
			code, _, _ := strings.Cut(f[3], "^")
			out += " " + code + " " + f[5]
		}
	}
	return out
}

func frame(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.Write(mllp.Wrap([]byte(m)))
	}
	return b.String()
}

func TestModesAndConditions(t *testing.T) {
	bad := mllp.Outcome{Code: hl7v2.ApplicationReject, Errors: []hl7v2.AckError{{Code: hl7v2.RequiredField, Field: "PID-3", Own: "no-identifier"}}}
	for _, c := range []struct {
		accept, application string
		good, bad           []string
	}{
		{"", "", []string{"AA 1"}, []string{"AA 1"}},
		{"AL", "", []string{"CA 1"}, []string{"CA 1"}},
		{"AL", "NE", []string{"CA 1"}, []string{"CA 1"}},
		{"AL", "AL", []string{"CA 1", "AA 1"}, []string{"CA 1", "AR 1 101 no-identifier"}},
		{"AL", "ER", []string{"CA 1"}, []string{"CA 1", "AR 1 101 no-identifier"}},
		{"AL", "SU", []string{"CA 1", "AA 1"}, []string{"CA 1"}},
		{"NE", "AL", []string{"AA 1"}, []string{"AR 1 101 no-identifier"}},
		{"", "AL", []string{"AA 1"}, []string{"AR 1 101 no-identifier"}},
		{"ER", "AL", []string{"AA 1"}, []string{"AR 1 101 no-identifier"}},
		{"SU", "NE", []string{"CA 1"}, []string{"CA 1"}},
		{"NE", "NE", nil, nil},
		{"al", "al", []string{"CA 1", "AA 1"}, []string{"CA 1", "AR 1 101 no-identifier"}},
		{"XX", "", []string{"CA 1"}, []string{"CA 1"}},
	} {
		for _, ends := range []string{"good", "bad"} {
			t.Run(fmt.Sprintf("%s-%s-%s", c.accept, c.application, ends), func(t *testing.T) {
				k, want := &keeper{}, c.good
				if ends == "bad" {
					k.bad, want = map[uint64]mllp.Outcome{1: bad}, c.bad
				}
				if got := say(t, start(t, k, nil).dial(t), len(want), frame(adt("1", c.accept, c.application))); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				if len(k.kept()) != 1 {
					t.Errorf("%d messages were kept", len(k.kept()))
				}
			})
		}
	}
}

func TestWhatCannotBeTakenIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"no MSH":                {frame("PID|1\r"), []string{"AR  100 no-msh"}},
		"no control id":         {frame(strings.Replace(adt("1", "", ""), "|1|P", "||P", 1)), []string{"AR  101 no-control-id"}},
		"enhanced":              {frame(strings.Replace(adt("1", "AL", "AL"), "ADT^A01^ADT_A01", "", 1)), []string{"CR 1 101 no-message-type"}},
		"enhanced, errors only": {frame(strings.Replace(adt("1", "ER", "AL"), "ADT^A01^ADT_A01", "", 1)), []string{"CR 1 101 no-message-type"}},
		"enhanced, never":       {frame(strings.Replace(adt("1", "NE", "AL"), "ADT^A01^ADT_A01", "", 1), adt("2", "", "")), []string{"AA 2"}},
		"not ended":             {"\x0b" + adt("1", "", "") + frame(adt("2", "", "")), []string{"AR 1 100 unended", "AA 2"}},
		"too long":              {frame(adt("1", "", "")+strings.Repeat("NTE|1||x\r", 500), adt("2", "", "")), []string{"AR 1 207 too-long", "AA 2"}},
		"an end block inside":   {frame(adt("1", "", "")+"NTE|\x1c|\r", adt("2", "", "")), []string{"AR 1 102 end-block-inside", "AA 2"}},
		"noise":                 {"PING\r\n" + frame(adt("2", "", "")), []string{"AA 2"}},
		"an acknowledgement":    {frame("MSH|^~\\&|A|B|||2026||ACK|9|P|2.5.1\rMSA|CA|x\r", adt("2", "", "")), []string{"AA 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := &keeper{}
			c0 := start(t, k, func(o *mllp.Options) { o.Limits.Frame = 4096 }).dial(t)
			if got := say(t, c0, len(c.want), c.in); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, body := range k.kept() {
				if !strings.Contains(body, "|2|P") {
					t.Errorf("what was refused was kept: %q", body)
				}
			}
		})
	}
}

func TestWithoutAnEndAConnectionIsEnded(t *testing.T) {
	k := &keeper{}
	// One limit each: a busy machine may let the other pass before the first byte.
	reads := start(t, k, func(o *mllp.Options) { o.Limits = mllp.Limits{Read: 150 * time.Millisecond, Idle: time.Minute} })
	if got := say(t, reads.dial(t), 2, "\x0b"+adt("1", "", "")); !slices.Equal(got, []string{"AR 1 100 unended", "!end"}) {
		t.Errorf("a slow frame: %q", got)
	}
	idles := start(t, k, func(o *mllp.Options) { o.Limits = mllp.Limits{Read: time.Minute, Idle: 300 * time.Millisecond} })
	if got := hear(t, idles.dial(t), 1); !slices.Equal(got, []string{"!end"}) {
		t.Errorf("an idle connection: %q", got)
	}
	long := start(t, k, func(o *mllp.Options) { o.Limits.Frame = 1024 })
	if got := say(t, long.dial(t), 1, frame(adt("1", "", "")[:40]+strings.Repeat("x", 1<<16))); got[0] != "AR  207 too-long" {
		t.Errorf("a frame that never ends: %q", got)
	}
	if len(k.kept()) != 0 {
		t.Errorf("kept: %q", k.kept())
	}
}

func TestNothingIsAcknowledgedBeforeItIsDurable(t *testing.T) {
	for _, m := range []string{adt("1", "", ""), adt("1", "AL", "AL")} {
		k := &keeper{gate: make(chan struct{})}
		c := start(t, k, nil).dial(t)
		if got := say(t, c, 0, frame(m)); len(got) != 0 {
			t.Fatalf("before it was kept: %q", got)
		}
		close(k.gate)
		if got := hear(t, c, 1+strings.Count(m, "|AL|")); strings.Contains(got[0], "!") {
			t.Errorf("after it was kept: %q", got)
		}
	}
}

func TestTheApplicationAnswersWhenProcessingHasEnded(t *testing.T) {
	k := &keeper{late: make(chan struct{})}
	c := start(t, k, nil).dial(t)
	if got := say(t, c, 3, frame(adt("1", "AL", "AL"), adt("2", "AL", "AL"), adt("3", "AL", "AL"))); !slices.Equal(got, []string{"CA 1", "CA 2", "CA 3"}) {
		t.Fatalf("got %q", got)
	}
	close(k.late)
	if got := hear(t, c, 3); !slices.Equal(got, []string{"AA 1", "AA 2", "AA 3"}) {
		t.Errorf("got %q", got)
	}
}

func TestAnOriginalModeThatWaits(t *testing.T) {
	k := &keeper{late: make(chan struct{}), bad: map[uint64]mllp.Outcome{2: {Code: hl7v2.ApplicationError, Errors: []hl7v2.AckError{{Code: hl7v2.DataType, Own: "bad"}}}}}
	waiting := func(most time.Duration) net.Conn {
		return start(t, k, func(o *mllp.Options) { o.Ack, o.Limits.Processing = mllp.WhenProcessed, most }).dial(t)
	}
	if got := say(t, waiting(200*time.Millisecond), 1, frame(adt("1", "", ""))); !slices.Equal(got, []string{"AE 1 207 not-processed"}) {
		t.Errorf("got %q", got)
	}
	c := waiting(time.Minute)
	close(k.late)
	if got := say(t, c, 2, frame(adt("1", "", ""), adt("2", "", ""))); !slices.Equal(got, []string{"AA 1", "AE 2 102 bad"}) {
		t.Errorf("got %q", got)
	}
}

func TestCopiesCollisionsAndAFullInbox(t *testing.T) {
	k := &keeper{}
	r := start(t, k, func(o *mllp.Options) { o.Limits.Busy = time.Minute })
	c := r.dial(t)
	one := adt("1", "", "")
	if got := say(t, c, 3, frame(one, one, one+"PV1|1\r")); !slices.Equal(got, []string{"AA 1", "AA 1", "AE 1 205 collision"}) {
		t.Errorf("got %q", got)
	}
	if got := say(t, c, 1, frame(adt("1", "AL", "AL"))); !slices.Equal(got, []string{"CE 1 205 collision"}) {
		t.Errorf("got %q", got)
	}
	two := adt("2", "AL", "AL")
	if got := say(t, r.dial(t), 4, frame(two, two)); strings.Count(strings.Join(got, " "), "CA 2") != 2 || strings.Count(strings.Join(got, " "), "AA 2") != 2 {
		t.Errorf("a copy in the enhanced mode: %q", got)
	}
	k.setBusy(2) // the connection is held
	if got := say(t, c, 1, frame(adt("3", "", ""))); !slices.Equal(got, []string{"AA 3"}) {
		t.Errorf("got %q", got)
	}
	k.setBusy(1 << 30)
	impatient := start(t, k, func(o *mllp.Options) { o.Limits.Busy = 150 * time.Millisecond })
	if got := say(t, impatient.dial(t), 1, frame(adt("4", "ER", "AL"))); !slices.Equal(got, []string{"CE 4 207 busy"}) {
		t.Errorf("got %q", got)
	}
	k.mu.Lock()
	k.busy, k.fail = 0, errors.New("the disk is full")
	k.mu.Unlock()
	if got := say(t, c, 1, frame(adt("5", "", ""))); !slices.Equal(got, []string{"AE 5 207 not-kept"}) {
		t.Errorf("got %q", got)
	}
}

func TestBatchesAreOneArrivalAndOneAcknowledgementEach(t *testing.T) {
	k := &keeper{}
	c := start(t, k, nil).dial(t)
	batch := "FHS|^~\\&|A|B\rBHS|^~\\&|A|B|||||||B1\r" + adt("1", "", "") + strings.Replace(adt("2", "", ""), "ADT^A01^ADT_A01", "", 1) + adt("3", "AL", "AL") + "BTS|3\rFTS|1\r"
	if got := say(t, c, 4, frame(batch)); !slices.Equal(got, []string{"AA 1", "AR 2 101 no-message-type", "CA 3", "AA 3"}) {
		t.Errorf("got %q", got)
	}
	if got := say(t, c, 2, frame(adt("4", "", "")+adt("5", "", ""))); !slices.Equal(got, []string{"AA 4", "AA 5"}) {
		t.Errorf("got %q", got)
	}
	if got := k.kept(); len(got) != 2 || got[0] != batch {
		t.Errorf("kept %q", got)
	}
}

func TestOrderAndBytesHold(t *testing.T) {
	k := &keeper{}
	c := start(t, k, nil).dial(t)
	var stream, want []string
	for i := range 200 {
		id := fmt.Sprint(i)
		body := strings.ReplaceAll(adt(id, "", ""), "\r", []string{"\r", "\n", "\r\n"}[i%3])
		stream, want = append(stream, frame(body)), append(want, "AA "+id)
	}
	all := strings.Join(stream, "\r\n\x00")
	go func() {
		for chunk := range slices.Chunk([]byte(all), 7) { // never a whole frame
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	}()
	if got := hear(t, c, 200); !slices.Equal(got, want) {
		t.Errorf("got %d acknowledgements: %q", len(got), got)
	}
	for i, body := range k.kept() {
		if !strings.Contains(body, fmt.Sprintf("|%d|P|", i)) {
			t.Fatalf("message %d was kept as %q", i, body)
		}
	}
}

// A sender that has closed its side still hears what becomes of its message; one
// that leaves out the last CR too.
func TestASenderThatSaysNothingMore(t *testing.T) {
	c := start(t, &keeper{}, nil).dial(t)
	if got := say(t, c, 2, strings.TrimSuffix(frame(adt("1", "AL", "AL")), "\r")); !slices.Equal(got, []string{"CA 1", "AA 1"}) {
		t.Errorf("no CR: %q", got)
	}
	k := &keeper{late: make(chan struct{})}
	c = start(t, k, nil).dial(t)
	if _, err := io.WriteString(c, frame(adt("2", "AL", "AL"))); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	time.AfterFunc(50*time.Millisecond, func() { close(k.late) })
	if got := hear(t, c, 2); !slices.Equal(got, []string{"CA 2", "AA 2"}) {
		t.Errorf("half closed: %q", got)
	}
}

func TestStopBringsWhatHasBegunToItsEnd(t *testing.T) {
	k := &keeper{gate: make(chan struct{}), waits: make(chan struct{}, 2)}
	r := start(t, k, nil)
	c := r.dial(t)
	if _, err := io.WriteString(c, frame(adt("1", "", ""), adt("2", "", ""))); err != nil {
		t.Fatal(err)
	}
	<-k.waits // the first is on its way into the inbox
	r.stop()
	time.Sleep(50 * time.Millisecond)
	close(k.gate)
	if got := hear(t, c, 2); !slices.Equal(got, []string{"AA 1", "!end"}) && !slices.Equal(got, []string{"AA 1", "!reset"}) {
		t.Errorf("got %q", got)
	}
	if got := k.kept(); len(got) != 1 {
		t.Errorf("%d messages were kept, of which one was acknowledged", len(got))
	}
}

func TestWhoMayConnectAndHowOften(t *testing.T) {
	count := map[string]int{}
	var mu sync.Mutex
	watch := func(what string) { mu.Lock(); defer mu.Unlock(); count[what]++ }
	stranger := start(t, &keeper{}, func(o *mllp.Options) { o.Peers, o.Observe = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, watch })
	if got := hear(t, stranger.dial(t), 1); !slices.Equal(got, []string{"!end"}) && !slices.Equal(got, []string{"!reset"}) {
		t.Errorf("a stranger: %q", got)
	}
	few := start(t, &keeper{}, func(o *mllp.Options) {
		o.Peers, o.Observe, o.Limits.PerPeer = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, watch, 2
	})
	a, b := few.dial(t), few.dial(t)
	for i, c := range []net.Conn{a, b} {
		if got := say(t, c, 1, frame(adt(fmt.Sprint(i), "", ""))); len(got) != 1 {
			t.Fatal(got)
		}
	}
	if got := hear(t, few.dial(t), 1); !slices.Equal(got, []string{"!end"}) && !slices.Equal(got, []string{"!reset"}) {
		t.Errorf("one too many: %q", got)
	}
	_ = a.Close()
	early := 0 // before the listener has seen it
	for got := []string(nil); !slices.Equal(got, []string{"AA 7"}); early++ {
		if got = try(t, few.dial(t), frame(adt("7", "", ""))); early > 1000 {
			t.Fatalf("after one has gone: %q", got)
		}
	}
	early--
	mu.Lock()
	defer mu.Unlock()
	if count["refused-peer"] != 1 || count["refused-limit"] != 1+early || count["connection"] != 3 || count["AA"] != 3 {
		t.Errorf("counted %v", count)
	}
}

func TestAListenerIsNotMadeWithoutItsParts(t *testing.T) {
	if _, err := mllp.New(mllp.Options{}); err == nil {
		t.Error("it was")
	}
}
