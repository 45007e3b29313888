package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/launch"
	"github.com/handoff-health/handoff/gateway/smart"
)

// launch registers an EHR launch as the clinic's EHR does when a clinician clicks
// on an app. The person's part, signing in and allowing it, is left to a browser.
func (t *tour) launch(ctx context.Context) error {
	t.say("\n10. From the open chart a clinician starts an app (SMART EHR launch): the EHR registers the patient in context, and opens launch_url\n   in the clinician's browser. It counts once, for five minutes, for that app and for somebody who may see the patient")
	const scope = "system/Patient.r system/Encounter.rs " + smart.ScopeRegisterLaunch
	t.command("EHR=$(go run ./cmd/handoff token get --base '%s' --client lakeside-clinic --key %s --scope '%s')", t.base, quoted(t.path("keys", "lakeside-clinic.jwk")), scope)
	token, err := t.token(ctx, "lakeside-clinic", scope)
	if err != nil {
		return err
	}
	body := fmt.Sprintf(`{"client_id":"lakeside-app","patient":%q}`, t.patient)
	address := strings.TrimSuffix(t.base, "/fhir") + launch.Path
	t.command(`curl -s -H "Authorization: Bearer $EHR" -H 'Content-Type: application/json' -d '%s' '%s'`, body, address)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	got, err := send(req)
	if err != nil {
		return err
	}
	var answer struct {
		URL string `json:"launch_url"`
	}
	if err := json.Unmarshal(got.body, &answer); err != nil || got.code != http.StatusCreated || answer.URL == "" {
		return fmt.Errorf("registering a launch: %s: %s", got.status, got.body)
	}
	t.say("  %s, launch_url %s", got.status, answer.URL)
	return nil
}
