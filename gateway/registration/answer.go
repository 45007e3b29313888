package registration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
)

// information is the answer of RFC 7591 3.2.1 and RFC 7592 3, without an access
// token of its own: managers have theirs.
type information struct {
	ClientID string `json:"client_id"`
	Secret   string `json:"client_secret,omitempty"` // in the answer that made it, and never again
	// SecretExpires is 0: a secret counts until it is replaced.
	SecretExpires *int   `json:"client_secret_expires_at,omitempty"`
	Issued        int64  `json:"client_id_issued_at,omitempty"`
	URI           string `json:"registration_client_uri"`
	*Metadata
	Source   string     `json:"source"` // registration, or configuration: which the API only disables and enables
	Disabled bool       `json:"disabled"`
	Rotation []rotating `json:"rotation,omitempty"`
	Updated  string     `json:"updated_at,omitempty"`
	LastUsed string     `json:"last_used,omitempty"` // to the hour
	Warnings []Finding  `json:"warnings,omitempty"`
}

// rotating tells what still counts beside what replaced it.
type rotating struct {
	Of    string `json:"of"` // client_secret or jwks
	Until string `json:"until"`
}

// describe makes the answer about a client.
func (s *Server) describe(ctx context.Context, c *auth.Client, rec *Record, lint bool) (*information, error) {
	out := &information{ClientID: c.ID, URI: s.o.Origin + Path + "/" + c.ID, Source: "configuration", Disabled: c.Disabled}
	if rec == nil {
		out.Metadata = metadataOf(c)
	} else {
		m := rec.Metadata
		out.Metadata, out.Source = &m, "registration"
		out.Issued, out.Updated = rec.Created.Unix(), rec.Updated.Format(time.RFC3339)
		for _, r := range rec.Retiring {
			if s.o.Now().Before(r.Until) {
				of := "jwks"
				if r.SecretHash != "" {
					of = "client_secret"
				}
				out.Rotation = append(out.Rotation, rotating{of, r.Until.UTC().Format(time.RFC3339)})
			}
		}
	}
	used, err := s.o.Store.LastUsed(ctx)
	if err != nil {
		return nil, err
	}
	if at, ok := used[c.ID]; ok {
		out.LastUsed = at.Format(time.RFC3339)
	}
	if lint && s.o.World != nil {
		others, err := s.o.Registry.All(ctx)
		if err != nil {
			return nil, err
		}
		w := *s.o.World
		// What a manager is told of must not say which clients others have.
		w.Others = slices.DeleteFunc(others, func(o *auth.Client) bool { return o.Organization != c.Organization })
		w.Used, w.Now = used, s.o.Now()
		out.Warnings = Lint(c, w)
	}
	return out, nil
}

func (i *information) withSecret(secret string) {
	if secret != "" {
		never := 0
		i.Secret, i.SecretExpires = secret, &never
	}
}

// warn adds what was passed over in the body.
func (i *information) warn(ignored []string) {
	for _, name := range ignored {
		i.Warnings = append(i.Warnings, Finding{Client: i.ClientID, Code: "ignored-member", Why: fmt.Sprintf("the member %.60q is not known here and was passed over", name)})
	}
}

// find returns a client that the caller manages, with its record if the API
// registered it. For a client of others it says what it says of none.
func (s *Server) find(ctx context.Context, c *call) (*auth.Client, *Record, error) {
	all, err := s.o.Registry.All(ctx)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(all, func(o *auth.Client) bool { return o.ID == c.client })
	if i >= 0 && !c.manages(all[i].Organization) {
		return nil, nil, absent()
	}
	rec, err := s.o.Store.Record(ctx, c.client)
	if err != nil {
		return nil, nil, err
	}
	if i >= 0 {
		if s.configured(c.client) {
			rec = nil
		}
		return all[i], rec, nil
	}
	if rec == nil || !c.manages(rec.Metadata.Organization) {
		return nil, nil, absent()
	}
	out, _ := s.o.Store.client(rec) // out of use; it can still be looked at, mended and deleted
	return &out, rec, nil
}

func (s *Server) configured(id string) bool {
	for _, cl := range s.o.Config.Clients {
		if cl.ID == id {
			return true
		}
	}
	return false
}

func (s *Server) show(ctx context.Context, c *call) (reply, error) {
	client, rec, err := s.find(ctx, c)
	if err != nil {
		return reply{}, err
	}
	body, err := s.describe(ctx, client, rec, true)
	return reply{http.StatusOK, etag(rec), body}, err
}

// list shows the clients that the caller manages, in order of ids.
func (s *Server) list(ctx context.Context, c *call) (reply, error) {
	all, err := s.o.Registry.All(ctx)
	if err != nil {
		return reply{}, err
	}
	records, err := s.o.Store.Records(ctx)
	if err != nil {
		return reply{}, err
	}
	byID := map[string]*Record{}
	for _, rec := range records {
		byID[rec.ID] = rec
	}
	out := []*information{}
	for _, client := range all {
		if !c.manages(client.Organization) {
			continue
		}
		rec := byID[client.ID]
		if s.configured(client.ID) {
			rec = nil
		}
		i, err := s.describe(ctx, client, rec, false)
		if err != nil {
			return reply{}, err
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b *information) int { return strings.Compare(a.ClientID, b.ClientID) })
	return reply{http.StatusOK, "", map[string]any{"clients": out}}, nil
}

// etag is the version of a registration; "" for a client of the configuration.
func etag(rec *Record) string {
	if rec == nil {
		return ""
	}
	return fmt.Sprintf(`"%d"`, rec.version)
}
