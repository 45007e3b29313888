package main

import (
	"net/url"
	"os"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/smart"
)

// checkOwnApp wants an origin of this machine, or none.
func checkOwnApp(origin string) error {
	u, err := url.Parse(origin)
	if origin == "" || err == nil && u.Scheme == "http" && auth.Loopback(u.Hostname()) && origin == "http://"+u.Host {
		return nil
	}
	return usageError("--own-app %q is no http origin of this machine, such as http://127.0.0.1:3000", origin)
}

// ownApps are registrations for an app of somebody's own, with which to try a
// client library against the demo: own-app is public, own-board has a key, and may
// ask what tokens are worth. Both are of the clinic.
func (d *demo) ownApps(origin string, u *demoUser) ([]config.Client, error) {
	jwks, err := os.ReadFile(d.path("keys", ownBoard+".jwks"))
	if err != nil {
		return nil, err
	}
	app := config.Client{
		ID: "own-app", Name: "Lakeside Bedside", Organization: u.organization, Roles: []string{u.role}, Purposes: []string{"TREAT", "HOPERAT"},
		Grants: []string{auth.GrantAuthorizationCode, auth.GrantRefreshToken}, Public: true, Providers: []string{u.provider},
		RedirectURIs: []string{origin + "/callback"}, LaunchURL: origin + "/launch", Origins: []string{origin},
		Scopes:           "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access patient/*.rs user/*.rs",
		TreatingProvider: u.treats, Users: "none", MFA: "never",
	}
	board := app
	board.ID, board.Name, board.Purposes = ownBoard, "Lakeside Ward Board", []string{"TREAT"}
	board.Grants = []string{auth.GrantClientCredentials, auth.GrantAuthorizationCode, auth.GrantRefreshToken}
	board.Public, board.JWKS, board.AcceptIssuerAud = false, string(jwks), true
	board.LaunchURL, board.Origins = "", nil
	board.Scopes = "launch/patient openid fhirUser profile offline_access patient/*.rs user/*.rs system/Patient.rs " + smart.ScopeIntrospect
	return []config.Client{app, board}, nil
}

const ownBoard = "own-board"
