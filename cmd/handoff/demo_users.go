package main

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"

	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/signin"

	"github.com/handoff-health/handoff/fhir/label"
)

// A demoUser is a person who signs in at the demo. Password and code are made at
// each start and printed, never stored.
type demoUser struct {
	client, organization  string // the app, and whose person it is
	app, purpose, treats  string // the app's name, purpose, and treatingProvider
	name, display         string
	system, id, role      string
	provider              string
	password, code, place string
}

// demoUsers are an officer and a clinician. Each is a Practitioner of the
// configuration, by its identifier.
func demoUsers() []*demoUser {
	return []*demoUser{
		{client: "riverton-app", organization: "riverton-pd", name: "ortiz", display: "Officer Dana Ortiz", place: "Riverton Police Department",
			system: "https://riverton.example/badge", id: "4711", role: "law-enforcement-officer", provider: "demo-riverton",
			app: "Riverton field app", purpose: "CRISIS", treats: "never"},
		{client: "lakeside-app", organization: "lakeside", name: "marsh", display: "Jo Marsh, LCSW", place: "Lakeside Community Mental Health",
			system: "https://lakeside.example/staff", id: "1002", role: "treating-clinician", provider: "demo-lakeside",
			app: "Lakeside chart app", purpose: "TREAT", treats: "linked"},
	}
}

// signIns makes the demo's places to sign in, and lets the demo's apps use them.
// There is no setting for such users: the configuration is changed here, in memory.
func (d *demo) signIns(c *config.Config) ([]signin.Provider, error) {
	d.users = demoUsers()
	var out []signin.Provider
	for _, u := range d.users {
		number, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return nil, err
		}
		u.password, u.code = strings.ToLower(rand.Text()), fmt.Sprintf("%06d", number)
		users, err := signin.NewUsers(signin.User{
			Name: u.name, Password: u.password, Code: u.code, ID: u.id, Display: u.display, Roles: []label.Code{attribute.Role(u.role)},
		})
		if err != nil {
			return nil, err
		}
		out = append(out, signin.Provider{
			ID: u.provider, Name: u.place, Organization: attribute.Reference(u.organization), Claims: signin.Claims{System: u.system},
			People: practitioners(c, u.organization), Users: users,
		})
		c.Clients = append(c.Clients, d.app.registration(u))
		if d.own == "" || u.client != "lakeside-app" {
			continue
		}
		own, err := d.ownApps(d.own, u)
		if err != nil {
			return nil, err
		}
		c.Clients = append(c.Clients, own...)
	}
	return out, nil
}

// tellUsers prints who can sign in.
func (d *demo) tellUsers() {
	d.say("\nPeople open an app: %s in a browser. They sign in with passwords and codes of this start alone:", d.app.address)
	for _, u := range d.users {
		d.say("  %-20s user %s   password %s   code %s", u.display, u.name, u.password, u.code)
	}
	if d.own != "" {
		d.say("Apps of your own are registered for %s: own-app (public) and %s (key: %s)", d.own, ownBoard, quoted(d.path("keys", ownBoard+".jwk")))
	}
	d.say("Five failures lock a user until 'handoff users unlock' (see 'handoff users --help').")
}
