package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
)

// The steps of the tour in which somebody takes responsibility: a legal basis
// that the custodian accepts, and an emergency.

// A deskClient is a client with a user behind it.
type deskClient struct{ variable, client, scope, organization, purpose, user, name string }

// signIn gets a token that names a person and a purpose, and prints how.
func (t *tour) signIn(ctx context.Context, c deskClient) (visitor, error) {
	t.command("%s=$(go run ./cmd/handoff token get --base '%s' --client %s --key %s --scope '%s' --organization %s --purpose %s --user-id %s --user-name '%s')",
		c.variable, t.base, c.client, quoted(t.path("keys", c.client+".jwk")), c.scope, c.organization, c.purpose, c.user, c.name)
	token, err := t.tokenFor(ctx, c.client, c.scope, &auth.Asserted{Organization: c.organization, Purposes: []string{c.purpose}, UserID: c.user, UserName: c.name})
	return visitor{t.demo, c.variable, token}, err
}

// call prints an operation whose Parameters stand in a file, does it, and
// returns the id of the Task that came of it.
func (t *tour) call(ctx context.Context, v *visitor, path, printed, file, params string, want int) (string, error) {
	if err := t.file(file, params); err != nil {
		return "", err
	}
	i := strings.LastIndex(printed, "/$") + 1 // the operation's own $ is none of the shell's
	t.command(`curl -s -o /dev/null -w '%%{http_code}\n' -H "Authorization: Bearer $%s" -H 'Content-Type: application/fhir+json' -d @%s "%s/%s\%s"`,
		v.variable, quoted(t.path(file)), t.base, printed[:i], printed[i:])
	got, err := v.do(ctx, http.MethodPost, path, []byte(params), "")
	if err != nil {
		return "", err
	}
	if got.code != want {
		return "", fmt.Errorf("POST %s: %s: %s", path, got.status, got.body)
	}
	t.say("  %s", got.status)
	doc, err := resource.Parse(got.body)
	if err != nil {
		return "", err
	}
	return doc.ID(), nil
}

// waiting prints how the newest Task that waits is found, and finds it.
func (t *tour) waiting(ctx context.Context, v *visitor, variable string) (string, error) {
	const query = "Task?status=requested&_sort=-_lastUpdated&_count=1"
	t.command(`%s=$(curl -s -H "Authorization: Bearer $%s" '%s/%s' | sed -n 's|.*/fhir/Task/\([A-Za-z0-9]*\)".*|\1|p'); echo $%s`, variable, v.variable, t.base, query, variable)
	b, err := v.search(ctx, query)
	if err != nil {
		return "", err
	}
	if len(b.ids) != 1 {
		return "", fmt.Errorf("%d Tasks wait, one was expected", len(b.ids))
	}
	return b.ids[0], nil
}

// parameter is one parameter of an operation as JSON.
func parameter(name, member string, value any) map[string]any {
	return map[string]any{"name": name, member: value}
}

func reference(ref string) map[string]any { return map[string]any{"reference": ref} }

func parametersOf(list ...map[string]any) (string, error) {
	raw, err := json.MarshalIndent(map[string]any{"resourceType": "Parameters", "parameter": list}, "", "  ")
	return string(raw) + "\n", err
}

func (t *tour) legalBasis(ctx context.Context) error {
	t.say("\n8. A warrant: Riverton declares it, and nothing opens. A named person at Lakeside accepts it for exactly one record and one day; it can be withdrawn")
	declaration, err := parametersOf(
		parameter("type", "valueCode", "warrant"), parameter("custodian", "valueReference", reference("Organization/lakeside")),
		parameter("patient", "valueReference", reference(t.patient)), parameter("request", "valueString", "the therapy plan of the person in custody number 26-1143"),
		parameter("document", "valueAttachment", map[string]any{"contentType": "text/plain", "title": "warrant 26-114", "data": "U3ludGhldGljIHdhcnJhbnQgMjYtMTE0"}),
	)
	if err != nil {
		return err
	}
	if _, err := t.call(ctx, &t.officer, "Task/$declare-basis", "Task/$declare-basis", "warrant.json", declaration, http.StatusCreated); err != nil {
		return err
	}
	plans := "CarePlan?patient=" + t.patient
	if _, err := t.ask(ctx, &t.officer, plans, 0); err != nil {
		return err
	}
	records, err := t.signIn(ctx, deskClient{"RECORDS", "lakeside-records", "system/*.rs system/Task.u", "Organization/lakeside", "HOPERAT", "urn:lakeside:staff#diaz", "Rosa Diaz, records"})
	if err != nil {
		return err
	}
	id, err := t.waiting(ctx, &records, "WARRANT")
	if err != nil {
		return err
	}
	own, err := t.ask(ctx, &records, plans+"&condition:missing=false", 1)
	if err != nil {
		return err
	}
	acceptance, err := parametersOf(
		parameter("covers", "valueReference", reference("CarePlan/"+own.ids[0])),
		parameter("validUntil", "valueInstant", time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339)),
		parameter("note", "valueString", "order checked with counsel"),
	)
	if err != nil {
		return err
	}
	if _, err := t.call(ctx, &records, "Task/"+id+"/$accept-basis", "Task/$WARRANT/$accept-basis", "acceptance.json", acceptance, http.StatusOK); err != nil {
		return err
	}
	if _, err := t.ask(ctx, &t.officer, plans, 1); err != nil {
		return err
	}
	withdrawal, err := parametersOf(parameter("reason", "valueString", "the order was quashed"))
	if err != nil {
		return err
	}
	if _, err := t.call(ctx, &records, "Task/"+id+"/$withdraw-basis", "Task/$WARRANT/$withdraw-basis", "withdrawal.json", withdrawal, http.StatusOK); err != nil {
		return err
	}
	_, err = t.ask(ctx, &t.officer, plans, 0)
	return err
}

func (t *tour) breakGlass(ctx context.Context) error {
	t.say("\n9. Break-glass: an emergency physician declares a medical emergency (42 CFR 2.51), police cannot. The Part 2 program's record opens for an hour")
	crisis, err := t.signIn(ctx, deskClient{"CRISIS", "lakeside-crisis", "system/*.rs", "Organization/lakeside", "ETREAT", "urn:lakeside:staff#ortiz", "Ana Ortiz, MD"})
	if err != nil {
		return err
	}
	medication := "MedicationRequest?patient=" + t.patient
	if _, err := t.ask(ctx, &crisis, medication, 0); err != nil {
		return err
	}
	emergency, err := parametersOf(
		parameter("reason", "valueString", "unresponsive, suspected overdose"), parameter("consentCannotBeObtained", "valueBoolean", true),
	)
	if err != nil {
		return err
	}
	path := t.patient + "/$break-glass"
	if _, err := t.call(ctx, &t.officer, path, path, "emergency.json", emergency, http.StatusForbidden); err != nil {
		return err
	}
	if _, err := t.call(ctx, &crisis, path, path, "emergency.json", emergency, http.StatusCreated); err != nil {
		return err
	}
	if _, err := t.ask(ctx, &crisis, medication, 1); err != nil {
		return err
	}
	return t.reviewed(ctx)
}

// reviewed shows the program what the law has it keep, and closes the review.
func (t *tour) reviewed(ctx context.Context) error {
	t.say("  The program finds the record of 42 CFR 2.51(c), written before the answer left, and a review that is due:")
	privacy, err := t.signIn(ctx, deskClient{"PRIVACY", "harbor-privacy", "system/*.rs system/Task.u", "Organization/harbor", "HOPERAT", "urn:harbor:staff#ruiz", "Sam Ruiz, privacy officer"})
	if err != nil {
		return err
	}
	record, err := t.ask(ctx, &privacy, "Communication?category=part2-emergency-record-2.51(c)&_sort=-_lastUpdated&_count=1", 1)
	if err != nil {
		return err
	}
	for to := range record.first.All("recipient") {
		t.say("  to %s", to.Get("display").Text())
		break
	}
	id, err := t.waiting(ctx, &privacy, "REVIEW")
	if err != nil {
		return err
	}
	verdict, err := parametersOf(parameter("outcome", "valueCode", "justified"), parameter("note", "valueString", "she could not be asked"))
	if err != nil {
		return err
	}
	_, err = t.call(ctx, &privacy, "Task/"+id+"/$complete-review", "Task/$REVIEW/$complete-review", "review.json", verdict, http.StatusOK)
	return err
}
