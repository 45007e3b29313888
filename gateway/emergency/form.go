package emergency

import (
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/task"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Profiles and systems.
const (
	DeclarationProfile = terminology.Base + "/StructureDefinition/emergency-declaration"
	RecordProfile      = terminology.Base + "/StructureDefinition/emergency-disclosure"
	ReviewProfile      = terminology.Base + "/StructureDefinition/emergency-review"
	NoticeProfile      = terminology.Base + "/StructureDefinition/notice"

	codeSystem   = terminology.Base + "/CodeSystem/emergency"
	fieldSystem  = terminology.Base + "/CodeSystem/emergency-field"
	noticeSystem = terminology.Base + "/CodeSystem/notice"
	userSystem   = terminology.Base + "/sid/user"
)

type object = map[string]any

// Personnel is who declared an emergency: medical personnel by registration.
type Personnel struct {
	Organization     string // "Organization/…", the affiliation
	OrganizationName string
	Client           string // registered client id
	User             string // id that the token names, "" if none
	Name             string
	Claimed          bool // the name is the client's word alone: its token names no user
}

// described names the person and the affiliation for a reader.
func (p *Personnel) described() string {
	s := p.Name
	if p.Claimed {
		s += " (as stated by the client " + p.Client + ")"
	}
	if p.OrganizationName != "" {
		s += ", " + p.OrganizationName
	}
	return s
}

func (p *Personnel) write(list *task.List) {
	list.Add(fieldSystem, "organization", "valueReference", object{"reference": p.Organization, "display": orNil(p.OrganizationName)})
	list.Text(fieldSystem, "client", "valueString", p.Client)
	list.Text(fieldSystem, "user", "valueString", p.User)
	list.Text(fieldSystem, "name", "valueString", p.Name)
	list.Add(fieldSystem, "name-claimed", "valueBoolean", p.Claimed)
}

func (p *Personnel) take(f task.Field) bool {
	switch f.Code {
	case "organization":
		p.Organization, p.OrganizationName = f.Text(), f.Value.Get("display").Text()
	case "client":
		p.Client = f.Text()
	case "user":
		p.User = f.Text()
	case "name":
		p.Name = f.Text()
	case "name-claimed":
		p.Claimed, _ = f.Value.Bool()
	default:
		return false
	}
	return true
}

// orNil is a display that is left as a dash if nothing is known: FHIR has no
// empty texts.
func orNil(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// is says whether a resource claims the profile.
func is(r *resource.Resource, profile string) bool {
	for p := range r.Root().Path("meta", "profile").Elements() {
		if p.Is(profile) {
			return true
		}
	}
	return false
}

func reference(ref string) object { return object{"reference": ref} }

func concept(system, code string) object {
	return object{"coding": []object{{"system": system, "code": code}}}
}

func instant(t time.Time) string { return resource.FormatInstant(t) }

func parseInstant(n resource.Node) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, n.Text())
	if err != nil {
		return t, fmt.Errorf("%q is not an instant", n.Text())
	}
	return t, nil
}
