package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Conditions of writes: https://hl7.org/fhir/R4/http.html#ccreate and #concurrency

// precondition is the header under whose condition a write is to happen, "" if
// there is none. One that cannot be kept to is not dropped.
func precondition(x *exchange, name string) (string, error) {
	values := x.req.HTTP.Header.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 || values[0] == "" {
		return "", outcome.BadRequest(outcome.CodeInvalid, "%s stands more than once, or is empty", name).At("http." + name)
	}
	return values[0], nil
}

// createCondition is the condition of a create. To ask what is there already is
// to read: a token that reads no Consents asks nothing.
func createCondition(x *exchange) (string, error) {
	condition, err := precondition(x, "If-None-Exist")
	if condition != "" && !x.allows("Consent", smart.Read) && !guard.Off(guard.AccessUnseenCondition) {
		return "", beyondScope("If-None-Exist asks what is there: the scopes of the token do not let it read a Consent")
	}
	return condition, err
}

// conditional looks for a Consent that fulfils the condition, among those the
// caller may see. One: it is the answer. None: the create goes on, under a
// claim that lets one of several equal creates win.
func (s *Server) conditional(ctx context.Context, x *exchange, condition string) (done bool, claim string, err error) {
	q, err := search.ParseConditional("Consent", condition, s.search)
	if err != nil {
		return false, "", err
	}
	claim, ok := q.Claim()
	if !ok {
		return false, "", outcome.NotSupported("If-None-Exist must be one identifier with its system").At("http.If-None-Exist")
	}
	plan := q.Plan()
	plan.Limit = 10
	page, err := s.o.Store.Search(ctx, plan)
	if err != nil {
		return false, "", err
	}
	for _, rec := range page.Records {
		c, err := s.own(rec)
		if err != nil {
			return false, "", err
		}
		if err := s.decide(ctx, x, []*candidate{c}); err != nil {
			return false, "", err
		}
		if len(x.kept) == 0 && guard.Off(guard.AccessUnseenCondition) {
			x.kept = []*candidate{c}
		}
	}
	switch n := len(x.kept); {
	case n == 1 && x.kept[0].record != nil:
		x.written = x.kept[0].record
		return true, "", nil
	case n > 1:
		return false, "", outcome.PreconditionFailed(outcome.CodeMultiple, "several Consents fulfil the condition")
	}
	// The claim is of the writer's organisation and of what its token sees, so that
	// a Consent out of sight cannot be felt.
	return false, x.principal.Requester.Organization + s.sight(x) + " " + claim, nil
}

// sight tells apart what tokens of one organisation see of Consents: "" for all
// of them, else a digest of the scopes, with the patient in context.
func (s *Server) sight(x *exchange) string {
	var parts []string
	for _, sc := range x.scopes() {
		switch {
		case sc.Permissions&smart.Read == 0 || sc.ResourceType != "*" && sc.ResourceType != "Consent":
			continue
		case guard.Off(guard.AccessUnseenCondition), sc.Context != smart.ContextPatient && len(sc.Criteria) == 0:
			return ""
		}
		sc.Permissions, sc.V1 = smart.Read, false
		parts = append(parts, sc.String())
	}
	slices.Sort(parts)
	if slices.Contains(x.levels, smart.ContextPatient) {
		parts = append(parts, s.contextPatient(x.principal))
	}
	digest := sha256.Sum256([]byte(strings.Join(slices.Compact(parts), " ")))
	return " " + base64.RawURLEncoding.EncodeToString(digest[:16])
}

func staleVersion(head int64) error {
	return outcome.PreconditionFailed(outcome.CodeConflict, "the newest version is W/\"%d\"", head)
}

// matchVersion reads If-Match: W/"3".
func matchVersion(header string) (int64, error) {
	text, ok := strings.CutPrefix(header, `W/"`)
	if ok {
		text, ok = strings.CutSuffix(text, `"`)
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || v < 1 {
		return 0, outcome.BadRequest(outcome.CodeValue, `If-Match must be one weak ETag as it was given: W/"3"`).At("http.If-Match")
	}
	return v, nil
}
