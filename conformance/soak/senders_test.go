package soak

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/mappings"
)

// A ledger holds what was acknowledged: identifiers of persons.
type ledger struct {
	mu    sync.Mutex
	acked map[string]bool
}

func (l *ledger) ack(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.acked[id] = true
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// wait waits, unless the time is over.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// family is a name for each person: of many who share name and birth date each
// would be a candidate for each other, which is not what is tried here.
func family(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return 'A' + r - '0'
		}
		return r
	}, id)
}

// birth is a birth date that few share.
func birth(id, form string) string {
	sum := sha256.Sum256([]byte(id))
	return time.Date(1940, 1, 2, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(sum[0])*80+int(sum[1])%80).Format(form)
}

// sendHL7 sends admissions over one connection, each again until it is
// acknowledged.
func (g *gateway) sendHL7(ctx context.Context, sender int, l *ledger) {
	var conn net.Conn
	var in *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for n := 0; ctx.Err() == nil; {
		id := fmt.Sprintf("H%02d%06d", sender+1, n+1)
		if conn == nil {
			var err error
			if conn, err = net.DialTimeout("tcp", g.mllp, time.Second); err != nil {
				conn = nil
				wait(ctx, 50*time.Millisecond)
				continue
			}
			in = bufio.NewReader(conn)
		}
		text := fmt.Sprintf("\x0bMSH|^~\\&|ADT%d|CLINIC|HANDOFF|HANDOFF|20250501100000||ADT^A01^ADT_A01|M%s|P|2.5.1\r"+
			"EVN|A01|20250501100000\rPID|1||%s^^^CLINIC^MR||%s^PAT||%s|F\rPV1|1|E|ER||||||||||||||||V%s^^^CLINIC^VN|||||||||||||||||||||||||20250501100000\r\x1c\r", sender, id, id, family(id), birth(id, "20060102"), id)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := conn.Write([]byte(text))
		var answer string
		if err == nil {
			answer, err = in.ReadString('\x1c')
		}
		if err == nil {
			_, err = in.Discard(1) // the carriage return behind it
		}
		if err != nil {
			conn.Close()
			conn = nil
			continue
		}
		if strings.Contains(answer, "MSA|AA|M"+id) || strings.Contains(answer, "MSA|CA|M"+id) {
			l.ack(id)
			n++
			wait(ctx, 5*time.Millisecond)
		} else {
			wait(ctx, 100*time.Millisecond)
		}
	}
}

// event is a consent as an officer's form sends it over HTTP.
func event(id string) string {
	return fmt.Sprintf(`{"consent_id": "C%s", "subject": {"mni": "%s", "name": "Pat %s", "dob": "%s"}, "incident_no": "26-%s",`+
		` "asked_at": "2026-01-05T00:00:00-05:00", "decision": "granted", "method": "verbal_bwc", "language": "en", "capacity_observed": "appears_able",`+
		` "direction": "both", "scope": ["this_encounter"], "recipients": ["CCBH"], "purpose": "ETREAT", "expires": "72 HRS", "officer_badge": "4502",`+
		` "bwc_evidence_id": "AXON-1", "part2_notice_given": true, "revoked_at": null}`, id, id, family(id), birth(id, time.DateOnly), id)
}

// sendEvents posts signed events, each again until it is taken.
func (g *gateway) sendEvents(ctx context.Context, sender int, l *ledger) {
	client := &http.Client{Timeout: 20 * time.Second}
	for n := 0; ctx.Err() == nil; {
		id := fmt.Sprintf("W%02d%06d", sender+1, n+1)
		body := event(id)
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(webhookSecret))
		mac.Write([]byte(stamp + "." + body))
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.listen+"/adapters/events", strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Signature", "t="+stamp+",v1="+hex.EncodeToString(mac.Sum(nil)))
		answer, err := client.Do(r)
		if err != nil {
			wait(ctx, 50*time.Millisecond)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode/100 == 2 {
			l.ack(id)
			n++
			wait(ctx, 5*time.Millisecond)
		} else {
			wait(ctx, 100*time.Millisecond)
		}
	}
}

// row are the columns of one contact in the Riverton export.
func row(id string) map[string]string {
	return map[string]string{"AgencyORI": "ZZ0010100", "IncidentNo": "25-" + id, "SuppNo": "0", "MNI": id, "LastName": family(id), "FirstName": "PAT", "DOB": birth(id, "01/02/2006"),
		"Sex": "F", "Race": "W", "Ethnicity": "N", "ContactDT": "05/01/2025 10:00", "ClearedDT": "05/01/2025 11:00", "IncLocation": "1 Test Plaza",
		"InitialCallType": "WELF", "FinalCallType": "Welfare Check", "CallSource": "911", "Involvement": "SUBJECT", "Behaviors": "Paranoid",
		"Disposition": "RESOLVED ON SCENE", "HoldFlag": "N", "ConsentAsked": "N", "OfficerBadge": "7001", "OfficerName": "Ofc T. Sample",
		"Narrative": "Spoke with the person.", "LastModified": "2025-05-02 08:00:00", "RecStatus": "A"}
}

// export is a file with the contacts of some persons.
func export(t *testing.T, ids []string) []byte {
	t.Helper()
	m, err := mappings.Load(mappings.Files(), "rms/riverton/contact.map.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	names := m.Columns()
	b.WriteString(strings.Join(names, ",") + "\n")
	for _, id := range ids {
		r := row(id)
		for i, name := range names {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(r[name])
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func persons(prefix string, file, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%03d%04d", prefix, file+1, i+1)
	}
	return out
}

// dropFiles puts files into the watched folder. A file is acknowledged when it is
// among those that are done.
func (g *gateway) dropFiles(ctx context.Context, t *testing.T, l *ledger) {
	for n := 0; ctx.Err() == nil; n++ {
		ids, name := persons("D", n, 20), fmt.Sprintf("export-%03d.csv", n)
		if err := os.WriteFile(filepath.Join(g.dir, name), export(t, ids), 0o600); err != nil {
			t.Error(err)
			return
		}
		if err := os.Rename(filepath.Join(g.dir, name), filepath.Join(g.dir, "drop", name)); err != nil {
			t.Error(err)
			return
		}
		for !g.isDone(name) {
			if !wait(ctx, 50*time.Millisecond) {
				return
			}
		}
		l.ack(ids...)
	}
}

// isDone says whether a file of the drop folder was taken.
func (g *gateway) isDone(name string) bool {
	found, _ := filepath.Glob(filepath.Join(g.dir, "drop", "archive", "*"+strings.TrimSuffix(name, ".csv")+"*"))
	return len(found) > 0
}

// ingestFiles runs the command on files; it is killed with the gateway, and run
// again until it says that all is stored.
func (g *gateway) ingestFiles(ctx context.Context, t *testing.T, l *ledger, killed <-chan struct{}) {
	for n := 0; ctx.Err() == nil; n++ {
		ids, name := persons("B", n, 40), filepath.Join(g.dir, fmt.Sprintf("batch-%03d.csv", n))
		if err := os.WriteFile(name, export(t, ids), 0o600); err != nil {
			t.Error(err)
			return
		}
		for {
			cmd := exec.Command(g.binary, "ingest", "--config", g.config(), "--adapter", "rms/csv", "--system", "batch", name)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			var err error
			select {
			case err = <-ended:
			case <-killed:
				_ = cmd.Process.Kill()
				err = <-ended
			}
			if err == nil {
				l.ack(ids...)
				break
			}
			if ctx.Err() != nil {
				return
			}
			if cmd.ProcessState.ExitCode() > 0 && cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("ingest: %v\n%s", err, out.String())
				return
			}
		}
		wait(ctx, 200*time.Millisecond)
	}
}
