package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/handoff-health/handoff/fhir/resource"
)

// readContext reads the body strictly: what is not understood cannot be kept to.
func readContext(r *http.Request) (*registered, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, errors.New("Content-Type must be application/json")
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxContext+1))
	if err != nil || len(raw) > maxContext {
		return nil, fmt.Errorf("the body cannot be read, or is larger than %d bytes", maxContext)
	}
	return parseContext(raw)
}

func parseContext(raw []byte) (*registered, error) {
	doc, err := resource.ParseDocument(raw)
	if err != nil || doc.Root().Kind() != resource.Object {
		return nil, errors.New("the body is not a JSON object, each of whose names stands once")
	}
	c := &registered{}
	for m := range doc.Root().Members() {
		var err error
		switch name := m.Name(); name {
		case "client_id":
			c.Client, err = textOf(m)
		case "patient":
			c.Patient, err = referenceOf(m, "Patient")
		case "encounter":
			c.Encounter, err = referenceOf(m, "Encounter")
		case "subject":
			c.Subject, err = textOf(m)
		case "intent", "tenant":
			var v string
			if v, err = textOf(m); err == nil {
				c.put(name, v)
			}
		case "need_patient_banner":
			v, ok := m.Bool()
			if !ok {
				err = errors.New("need_patient_banner is not true or false")
			}
			c.put(name, v)
		case "fhirContext":
			err = c.fhirContext(m)
		default:
			err = fmt.Errorf("%.40q is not a member of a launch", name)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case c.Client == "":
		return nil, errors.New("client_id is missing")
	case c.Encounter != "" && c.Patient == "":
		return nil, errors.New("an encounter comes with its patient")
	}
	return c, nil
}

func (c *registered) put(name string, v any) {
	if c.Context == nil {
		c.Context = map[string]any{}
	}
	c.Context[name] = v
}

// fhirContext: each entry refers to something; a Patient or an Encounter only in a
// role other than launch (SMART 2.2, fhirContext).
func (c *registered) fhirContext(n resource.Node) error {
	if n.Kind() != resource.Array || n.Len() > maxFHIRContext {
		return fmt.Errorf("fhirContext is not an array of at most %d objects", maxFHIRContext)
	}
	for e := range n.Elements() {
		_, typ, _, literal := resource.SplitReference(e.Get("reference").Text())
		role := e.Get("role").Text()
		switch {
		case e.Kind() != resource.Object || !e.Get("reference").Exists() && !e.Get("canonical").Exists() && !e.Get("identifier").Exists():
			return errors.New("an entry of fhirContext has no reference, canonical or identifier")
		case e.Get("reference").Exists() && !literal:
			return errors.New("a reference in fhirContext is neither Type/id nor a URL that ends so")
		case (typ == "Patient" || typ == "Encounter") && (role == "" || role == "launch"):
			return errors.New("a Patient or an Encounter in fhirContext needs a role other than launch")
		}
	}
	c.put("fhirContext", json.RawMessage(n.Raw()))
	return nil
}

func textOf(n resource.Node) (string, error) {
	t := n.Text()
	if n.Kind() != resource.String || t == "" || len(t) > maxText {
		return "", fmt.Errorf("%s is not a text of 1 to %d bytes", n.Name(), maxText)
	}
	return t, nil
}

func referenceOf(n resource.Node, typ string) (string, error) {
	t, err := textOf(n)
	if err != nil {
		return "", err
	}
	if rest, ok := cutType(t, typ); ok {
		t = rest
	}
	if !idForm.MatchString(t) {
		return "", fmt.Errorf("%s is neither an id nor %s/ and one", n.Name(), typ)
	}
	return typ + "/" + t, nil
}

func cutType(ref, typ string) (string, bool) {
	if len(ref) > len(typ) && ref[:len(typ)+1] == typ+"/" {
		return ref[len(typ)+1:], true
	}
	return ref, false
}
