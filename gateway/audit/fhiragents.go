package audit

import (
	"net"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

func agents(e *Event) []agent {
	purposes := concepts(e.Purposes, "purpose-of-use")
	client := agent{
		Type: typed(dicom, "110153", "Source Role ID"), Who: who(e.Client), Requestor: e.User == "", Network: networkOf(e.Source),
	}
	switch {
	case client.Who != nil:
	case e.Interaction == Login, e.Interaction == Logout, e.Interaction == Lock:
		client.Who = &reference{Display: "browser"}
	case e.Interaction == Unlock, e.Interaction == SignOut, e.Interaction == StoreAccept, e.Interaction == ClientChange && e.Operation == "handoff":
		client.Who = &reference{Display: "handoff command"}
	default:
		client.Who = &reference{Display: "unknown client"}
	}
	if e.User == "" { // a system asks for itself
		client.Role, client.PurposeOfUse, client.Policy = concepts(e.Roles, "actor-role"), purposes, jti(e)
	}
	gateway := gatewayIdentity
	out := []agent{client, {Type: typed(dicom, "110152", "Destination Role ID"), Who: &gateway}}
	if e.Administrative() {
		out = []agent{{Type: typed(dicom, "110150", "Application"), Who: &gateway}}
	}
	if e.User != "" {
		out = append(out, agent{
			Type: typed("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient"),
			Who:  who(e.User), Name: e.UserName, Requestor: true, Role: concepts(e.Roles, "actor-role"), PurposeOfUse: purposes, Policy: jti(e),
		})
	}
	if e.Organization != "" {
		out = append(out, agent{
			Type: typed("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", ""), Who: who(e.Organization), PurposeOfUse: purposes,
		})
	}
	return out
}

func jti(e *Event) []string {
	if e.TokenID == "" {
		return nil
	}
	return []string{tokenURN(e.TokenID)}
}

func tokenURN(id string) string { return "urn:ietf:params:oauth:jti:" + id }

func typed(system, code, display string) *concept {
	return &concept{Coding: []coding{{system, code, display}}}
}

// concepts turns "system|code", or a bare code of one of the project's systems,
// into codings.
func concepts(codes []string, own string) []concept {
	var out []concept
	for _, c := range codes {
		if c == "" {
			continue
		}
		out = append(out, concept{Coding: []coding{codeOf(c, own)}})
	}
	return out
}

func codeOf(c, own string) coding {
	if i := strings.LastIndexByte(c, '|'); i >= 0 && i+1 < len(c) {
		return coding{System: c[:i], Code: c[i+1:]}
	}
	return coding{System: ownSystems + own, Code: c}
}

// who is a reference where the name is one, else an identifier.
func who(name string) *reference {
	if name == "" {
		return nil
	}
	if _, _, _, ok := resource.SplitReference(name); ok {
		return &reference{Reference: name}
	}
	return &reference{Identifier: &identifier{Value: name}}
}

// networkOf is an address of type 2 (IP) or 1 (machine name).
func networkOf(address string) *network {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return &network{strings.Trim(host, "[]"), "2"}
	}
	return &network{host, "1"}
}
