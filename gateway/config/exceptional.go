package config

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/smart"
)

// LegalBases bounds the acceptance of legal bases (45 CFR 164.512 and others).
type LegalBases struct {
	Longest     time.Duration            `yaml:"longest"`     // how long an accepted basis may stand; default 720h (30 days)
	LongestOf   map[string]time.Duration `yaml:"longestOf"`   // the same by type; default hipaa-512k5-custody: 72h
	MaxDocument int                      `yaml:"maxDocument"` // bytes of an order that is handed in; default 256 KiB, or half of server.maxBody
}

// Emergency bounds breaking the glass.
type Emergency struct {
	Lifetime     time.Duration `yaml:"lifetime"`     // how long a declaration stands; default 60m, most 24h
	ReviewWithin time.Duration `yaml:"reviewWithin"` // when the custodian's review is due; default 72h
}

// PrivacyContact is who is told of what wants a look afterwards.
type PrivacyContact struct {
	Name  string `yaml:"name"`
	Email string `yaml:"email"` // for people; the gateway sends no mail
	// Webhook is an https URL (http only to this machine) that takes notices as
	// JSON with ids and times, no clinical content.
	Webhook string `yaml:"webhook"`
	// WebhookSecret, at least 32 bytes, signs each notice (HMAC-SHA256).
	WebhookSecret Secret `yaml:"webhookSecret"`
}

// Accept lets an agreement accept declarations of a type in advance.
type Accept struct {
	Type  string   `yaml:"type"`  // of legal basis, without anything that somebody has to determine
	Roles []string `yaml:"roles"` // the declarer holds one of these; codes of the actor-role system
	// Types are the resource types that it opens, for a basis that names
	// resources; a basis that reaches certain elements needs none.
	Types  []string      `yaml:"types"`
	Within time.Duration `yaml:"within"` // how long it stands
}

const custodyType = "hipaa-512k5-custody"

// maxLifetime keeps an emergency from becoming a habit.
const maxLifetime = 24 * time.Hour

func (c *Config) exceptionalDefaults() {
	b := &c.LegalBases
	if b.Longest == 0 {
		b.Longest = 30 * 24 * time.Hour
	}
	if b.LongestOf == nil {
		b.LongestOf = map[string]time.Duration{}
	}
	if _, ok := b.LongestOf[custodyType]; !ok {
		b.LongestOf[custodyType] = 72 * time.Hour
	}
	if b.MaxDocument == 0 {
		b.MaxDocument = int(min(256<<10, max(c.Server.MaxBody, 0)/2))
	}
	if c.Emergency.Lifetime == 0 {
		c.Emergency.Lifetime = time.Hour
	}
	if c.Emergency.ReviewWithin == 0 {
		c.Emergency.ReviewWithin = 72 * time.Hour
	}
}

func (k *checker) checkExceptional() {
	if k.LegalBases.Longest < 0 {
		k.fault("$.legalBases.longest", "is negative")
	}
	for typ, d := range k.LegalBases.LongestOf {
		if d <= 0 {
			k.fault("$.legalBases.longestOf", fmt.Sprintf("%s must be longer than nothing", typ))
		}
	}
	if m := int64(k.LegalBases.MaxDocument); m < 0 || m*4/3 >= k.Server.MaxBody {
		k.fault("$.legalBases.maxDocument", fmt.Sprintf("is negative, or does not fit into server.maxBody (%d) as base64", k.Server.MaxBody))
	}
	if l := k.Emergency.Lifetime; l < time.Minute || l > maxLifetime {
		k.fault("$.emergency.lifetime", "must be from 1m to 24h")
	}
	if k.Emergency.ReviewWithin < time.Minute {
		k.fault("$.emergency.reviewWithin", "must be at least 1m")
	}
	for i, o := range k.Organizations {
		k.privacyContact(fmt.Sprintf("$.organizations[%d].privacyContact", i), o.PrivacyContact)
	}
	for i, a := range k.Agreements {
		for n, x := range a.Accepts {
			at := fmt.Sprintf("$.agreements[%d].accepts[%d]", i, n)
			k.accepts(at, x)
			if slices.ContainsFunc(a.Accepts[:n], func(o Accept) bool { return o.Type == x.Type && shares(o.Roles, x.Roles) }) {
				k.fault(at, "the type is accepted above for the same role; say all of it in one entry")
			}
		}
	}
}

func (k *checker) privacyContact(at string, p *PrivacyContact) {
	if p == nil {
		return
	}
	if strings.TrimSpace(p.Name) == "" {
		k.fault(at+".name", "is missing: who is told")
	}
	if _, err := mail.ParseAddress(p.Email); p.Email != "" && err != nil {
		k.value(at+".email", p.Email, "is no mail address")
	}
	if p.Webhook != "" && !isServiceURL(p.Webhook) {
		k.value(at+".webhook", p.Webhook, "is not an absolute https URL (http only to this machine) without query")
	}
	switch n := len(p.WebhookSecret); {
	case n > 0 && n < 32:
		k.fault(at+".webhookSecret", fmt.Sprintf("has %d bytes; at least 32 are needed", n))
	case n > 0 && p.Webhook == "":
		k.fault(at+".webhookSecret", "there is no webhook to sign for")
	}
}

// shares says whether the lists have an entry in common.
func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func (k *checker) accepts(at string, a Accept) {
	if a.Type == "" {
		k.fault(at+".type", "is missing: a type of legal basis")
	}
	if len(a.Roles) == 0 {
		k.fault(at+".roles", "an acceptance in advance is for named roles")
	}
	for n, r := range a.Roles {
		if !slices.Contains(terminology.ActorRoles(), r) {
			k.value(fmt.Sprintf("%s.roles[%d]", at, n), r, "is no role; known are "+strings.Join(terminology.ActorRoles(), ", "))
		}
	}
	for n, t := range a.Types {
		if !smart.ResourceType(t) {
			k.value(fmt.Sprintf("%s.types[%d]", at, n), t, "is no resource type of R4")
		}
	}
	longest := k.LegalBases.Longest
	if d, ok := k.LegalBases.LongestOf[a.Type]; ok {
		longest = d
	}
	if a.Within <= 0 || a.Within > longest {
		k.fault(at+".within", fmt.Sprintf("must be longer than nothing and at most %s, the longest that this type may stand", longest))
	}
}
