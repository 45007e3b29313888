package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/emergency"
)

// Declaring an emergency: Patient/<id>/$break-glass. The declaration opens
// nothing by itself: it is a fact for policy, for a limited time, for one client,
// one user and one person. Its answer never looks at what is known of the person.

// EmergencyLimits bound declarations.
type EmergencyLimits struct {
	Lifetime     time.Duration // how long one stands; 0: 60 minutes
	ReviewWithin time.Duration // when the custodian's review is due; 0: 72 hours
}

func (l *EmergencyLimits) fill() {
	l.Lifetime = cmp.Or(l.Lifetime, time.Hour)
	l.ReviewWithin = cmp.Or(l.ReviewWithin, 72*time.Hour)
}

// maxReason bounds what is said of an emergency, in bytes.
const maxReason = 2000

// mayBreakGlass asks token and registration: medical personnel (42 CFR 2.51),
// for an emergency, and never police.
func mayBreakGlass(x *exchange) error {
	p := x.principal
	switch {
	case p.Police:
		return outcome.Forbidden("breaking the glass is for medical personnel: a law-enforcement agency cannot")
	case !p.Requester.MedicalPersonnel:
		return outcome.Forbidden("breaking the glass is for medical personnel: the client is not registered as such")
	case !inEmergency(p.Purposes):
		return outcome.Forbidden("breaking the glass needs a token for the purpose BTG or ETREAT")
	}
	return nil
}

// inEmergency says whether one of the purposes is emergency treatment.
func inEmergency(purposes []string) bool { return emergencyPurpose(purposes) != "" }

// emergencyPurpose returns the code of v3-ActReason, "" if there is none.
func emergencyPurpose(list []string) string {
	for _, p := range purposes(list) {
		if terminology.SystemOf(p.System) == terminology.ActReason && (p.Code == "BTG" || p.Code == "ETREAT") {
			return p.Code
		}
	}
	return ""
}

var breakGlassSpec = parameters.Spec{
	{Name: "reason", Value: "valueString", Required: true},
	{Name: "consentCannotBeObtained", Value: "valueBoolean"},
	{Name: "encounter", Value: "valueReference"},
	{Name: "personnel", Value: "valueString"},
}

func readBreakGlass(s *Server, x *exchange) error {
	if s.o.Policy.LawEnforcement(&x.principal.Requester) {
		return outcome.Forbidden("breaking the glass is for medical personnel: who acts in a role of law enforcement cannot")
	}
	if !resource.ValidID(x.req.ID) {
		return outcome.NotFound(fmt.Errorf("%q is not an id", x.req.ID))
	}
	if err := s.readGiven(x, breakGlassSpec); err != nil {
		return err
	}
	if reason := strings.TrimSpace(x.given.Text("reason")); reason == "" || len(reason) > maxReason {
		return outcome.BadRequest(outcome.CodeValue, "reason must say what the emergency is, in at most %d bytes", maxReason).At(x.given.One("reason").At)
	}
	name := strings.TrimSpace(x.given.Text("personnel"))
	switch named := x.principal.User.Name != ""; {
	case named && x.given.Has("personnel"):
		return outcome.BadRequest(outcome.CodeInvalid, "the token names the user: personnel is for a client that has no users").At(x.given.One("personnel").At)
	case !named && (name == "" || len(name) > 200):
		return outcome.BadRequest(outcome.CodeRequired, "the token names no user: personnel must name who treats, in at most 200 bytes").At("Parameters.parameter")
	}
	return nil
}

// actBreakGlass files the declaration.
func actBreakGlass(ctx context.Context, s *Server, x *exchange) error {
	p := x.principal
	if x.patientAlone() && !x.launched.Is("Patient/"+x.req.ID) {
		return outcome.NotFound(errors.New("patient/ scopes are about the patient in context"))
	}
	org, _ := s.o.Directory.Organization(p.Requester.Organization)
	at := x.at.UTC().Truncate(time.Millisecond)
	d := &emergency.Declaration{
		Patient: "Patient/" + x.req.ID, Reason: strings.TrimSpace(x.given.Text("reason")), ConsentCannotBeObtained: x.given.Flag("consentCannotBeObtained"),
		At: at, Until: at.Add(s.o.Emergency.Lifetime),
		By: emergency.Personnel{Organization: p.Requester.Organization, OrganizationName: org.Name, Client: p.Client, User: p.User.ID, Name: p.User.Name},
	}
	if d.By.Name == "" {
		d.By.Name, d.By.Claimed = strings.TrimSpace(x.given.Text("personnel")), true
	}
	var err error
	if d.Encounter, err = s.named(x.given, "encounter", "Encounter"); err != nil {
		return err
	}
	x.note(d.Patient)
	return s.fileDeclaration(ctx, x, d, s.newID(), store.Absent)
}

func (s *Server) fileDeclaration(ctx context.Context, x *exchange, d *emergency.Declaration, id string, expect int64) error {
	f := filing{id: id, holder: d.By.Organization, keeper: emergencyRecords, expect: expect}
	if !d.Ended {
		f.index = []string{indexGlass + "|" + glassKey(d.By.Client, d.By.User, d.Patient)}
	}
	var err error
	if f.raw, err = d.Task(id); err != nil {
		return err
	}
	return s.fileAndShow(ctx, x, f, "the declaration has changed meanwhile; read it again")
}

// fileAndShow writes one paper and judges it for the answer; conflict is told if
// it has changed meanwhile.
func (s *Server) fileAndShow(ctx context.Context, x *exchange, f filing, conflict string) error {
	w, err := s.filed(f)
	if err != nil {
		return err
	}
	rec, err := s.o.Store.Write(ctx, w)
	if errors.Is(err, store.ErrConflict) {
		return outcome.Conflict("%s", conflict).Because(err)
	}
	if err != nil {
		return err
	}
	return s.show(ctx, x, w, rec)
}

// glassKey finds declarations of a client and user about a Patient.
func glassKey(client, user, patient string) string {
	return fmt.Sprintf("%s %q %s", client, user, patient)
}

// endEmergency takes a declaration back.
func (s *Server) endEmergency(ctx context.Context, x *exchange, c *candidate) error {
	d, err := emergency.ReadDeclaration(c.resource)
	if err != nil {
		return err
	}
	if d, err = d.End(); err != nil {
		return outcome.Conflict("%s", err.Error())
	}
	return s.fileDeclaration(ctx, x, d, c.record.ID, c.record.Version)
}

// A declared is a declaration that stands for the caller.
type declared struct {
	*emergency.Declaration
	id string // of its Task
}

// same says whether two are one declaration, or both none.
func (d *declared) same(other *declared) bool {
	return (d == nil) == (other == nil) && (d == nil || d.id == other.id)
}

// declaredFor finds the newest declaration of an emergency that stands for this
// client and user about this person; nil if there is none.
func (s *Server) declaredFor(ctx context.Context, x *exchange, person []string) (*declared, error) {
	p := x.principal
	if !p.Requester.MedicalPersonnel || p.Police || !inEmergency(p.Purposes) || len(person) == 0 {
		return nil, nil
	}
	keys := make([]string, len(person))
	for i, ref := range person {
		keys[i] = glassKey(p.Client, p.User.ID, ref)
	}
	recs, err := s.found(ctx, "Task", indexGlass, keys...)
	if err != nil {
		return nil, err
	}
	var newest *declared
	for _, rec := range recs {
		t, err := s.own(rec)
		if err != nil {
			return nil, err
		}
		d, err := emergency.ReadDeclaration(t.resource)
		if err != nil {
			return nil, err
		}
		if rec.Origin.System != emergencyRecords || rec.Origin.Custodian != p.Requester.Organization ||
			!d.InForce(x.at) || !d.Binds(p.Client, p.User.ID) || !slices.Contains(person, d.Patient) {
			continue
		}
		// Of two at one instant the one that opens less counts.
		if newest == nil || d.At.After(newest.At) || d.At.Equal(newest.At) && !d.ConsentCannotBeObtained {
			newest = &declared{d, rec.ID}
		}
	}
	return newest, nil
}
