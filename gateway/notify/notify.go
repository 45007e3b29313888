// Package notify delivers notices to the privacy contacts of custodians.
//
//	Communication in progress, index entry emergency.OutboxParam ─▶ POST to the contact's webhook ─▶ Communication completed
//
// The outbox is the notices themselves: a notice is written in one unit with
// what it is about, waits in the store for as long as it takes, and is marked
// once it was taken. Delivery is at least once: a receiver that must not act
// twice looks at the notice's id. A body has ids and times, no clinical content
// and nothing of a person but what the receiver may look up here.
//
// It decides nothing and reads no request. cmd/handoff runs one [Outbox] beside
// the gateway, and of several gateways on one store only that which holds a lease
// ([Options].Held); the store's versions settle who marks. A notice may come twice
// when a process ends between the delivery and the mark.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/emergency"
)

// A Contact is where notices of one organisation go.
type Contact struct {
	URL    string
	Secret string // signs each notice; "" leaves it unsigned
}

// Options are the parts of an Outbox. All are required unless said otherwise.
type Options struct {
	Store store.Store
	Base  string // FHIR base URL, so that the receiver can look up what it is told of
	// Contact finds where notices of an organisation go, "Organization/…".
	Contact func(organization string) (Contact, bool)
	Client  *http.Client     // optional; never follows a redirect
	Every   time.Duration    // between looks at the outbox; optional, 5s
	Now     func() time.Time // optional
	Held    func() error     // optional: whether this process is the one that delivers; asked before each notice
	Logger  *slog.Logger     // optional
}

// An Outbox delivers notices.
type Outbox struct {
	o       Options
	mu      sync.Mutex
	retries map[string]retry // by id of the notice
}

// A retry is when a notice that was not taken is tried again.
type retry struct {
	failures int
	at       time.Time
}

// Bounds of delivery.
const (
	requestTime = 10 * time.Second
	firstPause  = 5 * time.Second
	maxPause    = time.Hour
	batch       = 50
)

// New makes an Outbox.
func New(o Options) (*Outbox, error) {
	if o.Store == nil || o.Contact == nil || o.Base == "" {
		return nil, errors.New("notify: a part is missing")
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: requestTime}
	}
	client := *o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.Client = &client
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Outbox{o: o, retries: map[string]retry{}}, nil
}

// Run looks at the outbox again and again until ctx ends.
func (b *Outbox) Run(ctx context.Context) {
	for {
		if _, err := b.Deliver(ctx); err != nil && ctx.Err() == nil {
			b.o.Logger.Error("the outbox of notices could not be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(b.o.Every):
		}
	}
}

// Deliver tries every notice that waits and whose time has come, once. It
// returns how many were taken; one that was not stays and is tried later.
func (b *Outbox) Deliver(ctx context.Context) (int, error) {
	plan := store.Plan{
		Type: "Communication", Limit: batch, Sort: []store.SortKey{{Param: store.ParamID}},
		Where: store.Expr{Op: store.Equal, Param: emergency.OutboxParam, Value: emergency.OutboxWaiting},
	}
	taken := 0
	for {
		page, err := b.o.Store.Search(ctx, plan)
		if err != nil {
			return taken, fmt.Errorf("notify: %w", err)
		}
		for _, rec := range page.Records {
			if !b.due(rec.ID) {
				continue
			}
			if b.o.Held != nil {
				if err := b.o.Held(); err != nil {
					return taken, err
				}
			}
			if err := b.one(ctx, rec); err != nil {
				if ctx.Err() != nil {
					return taken, ctx.Err()
				}
				b.failed(rec.ID, err)
				continue
			}
			taken++
			b.forget(rec.ID)
		}
		if page.Next == "" {
			return taken, nil
		}
		plan.After = page.Next
	}
}

func (b *Outbox) due(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.o.Now().Before(b.retries[id].at)
}

func (b *Outbox) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.retries, id)
}

// failed puts a notice off, each time for twice as long.
func (b *Outbox) failed(id string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.retries[id]
	pause := min(firstPause<<min(r.failures, 16), maxPause)
	r.failures++
	r.at = b.o.Now().Add(pause)
	b.retries[id] = r
	b.o.Logger.Warn("a notice to a privacy contact was not taken; it will be tried again", "notice", id, "failures", r.failures, "in", pause, "error", err)
}

// A Body is what the webhook gets, as JSON.
type Body struct {
	ID           string   `json:"id"`           // of the notice: "Communication/…"; the same on every try
	Kind         string   `json:"kind"`         // emergency-disclosure …
	Organization string   `json:"organization"` // "Organization/…"
	About        []string `json:"about"`        // "Task/…", "Communication/…"
	At           string   `json:"at"`
	Due          string   `json:"due,omitempty"`
	Base         string   `json:"base"` // FHIR base URL where the references are looked up
}

// one delivers a notice and marks it.
func (b *Outbox) one(ctx context.Context, rec *store.Record) error {
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return err
	}
	n, err := emergency.ReadNotice(r)
	if err != nil {
		return err
	}
	if n.Custodian != rec.Origin.Custodian {
		return fmt.Errorf("the notice is for %s and kept for %s", n.Custodian, rec.Origin.Custodian)
	}
	to, ok := b.o.Contact(n.Custodian)
	if !ok || to.URL == "" {
		return errors.New("the organisation has no webhook any more")
	}
	body := Body{ID: rec.Key.String(), Kind: n.Kind, Organization: n.Custodian, About: n.About, At: resource.FormatInstant(n.At), Base: b.o.Base}
	if !n.Due.IsZero() {
		body.Due = resource.FormatInstant(n.Due)
	}
	if err := b.post(ctx, to, body); err != nil {
		return err
	}
	return b.mark(ctx, rec, n)
}

func (b *Outbox) post(ctx context.Context, to Contact, body Body) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Handoff-Notice", body.ID)
	if to.Secret != "" {
		req.Header.Set("Handoff-Signature", Sign(to.Secret, b.o.Now(), raw))
	}
	resp, err := b.o.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the webhook answered %s", resp.Status)
	}
	return nil
}

// Sign is the value of Handoff-Signature: "t=<unix seconds>,v1=<hex>", the
// HMAC-SHA256 of the seconds, a dot and the body. A receiver compares it and
// refuses what is older than a few minutes.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// mark notes that the notice was taken. If somebody else has marked it, it was
// taken too.
func (b *Outbox) mark(ctx context.Context, rec *store.Record, n *emergency.Notice) error {
	n.Delivered = b.o.Now().UTC()
	raw, err := n.Communication(rec.ID)
	if err != nil {
		return err
	}
	r, err := resource.Parse(raw)
	if err != nil {
		return err
	}
	_, err = b.o.Store.Write(ctx, store.Write{
		Record: store.Record{Key: rec.Key, Raw: raw, Origin: rec.Origin, Labels: rec.Labels, LabelSet: rec.LabelSet, Index: search.Index(r)},
		Expect: rec.Version,
	})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
