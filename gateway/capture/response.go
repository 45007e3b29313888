package capture

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Questionnaires that $capture takes, by the end of their canonical URL.
const (
	UniversalRelease = terminology.Base + "/Questionnaire/universal-release"
	OnScene          = terminology.Base + "/Questionnaire/on-scene-crisis-consent"
	Part2Police      = terminology.Base + "/Questionnaire/part2-police-release"
)

// signatureExtension is where R4 puts the signature under a response.
const signatureExtension = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature"

// linkIDs are the answers that stand in items; the others are elements of the
// response itself.
var linkIDs = func() map[string]bool {
	m := map[string]bool{}
	for _, p := range Spec {
		switch p.Name {
		case "patient", "identifier", "askedAt", "signature":
		default:
			m[p.Name] = true
		}
	}
	return m
}()

// fromResponse reads a QuestionnaireResponse: subject is the patient, authored
// when the person was asked, the signature R4's extension for it.
func (c *Capture) fromResponse(r *resource.Resource) (answers, error) {
	root := r.Root()
	canonical, _, _ := strings.Cut(root.Get("questionnaire").Text(), "|")
	a := answers{}
	switch canonical {
	case UniversalRelease:
		a["how"] = []answer{{text: resource.CapturedWritten}}
	case OnScene:
	case Part2Police:
		a["how"] = []answer{{text: resource.CapturedWritten}}
		c.Part2 = true
	default:
		return nil, outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeNotSupported, Expression: "QuestionnaireResponse.questionnaire",
			Diagnostics: "the response is to none of the forms that make a Consent: universal-release, on-scene-crisis-consent, part2-police-release"})
	}
	if st := root.Get("status"); !st.Is("completed") && !st.Is("amended") {
		return nil, outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeInvalid, Expression: "QuestionnaireResponse.status", Diagnostics: "the response is not completed"})
	}
	c.Form, c.Document = root.Get("questionnaire").Text(), r.Raw()
	subject := root.Get("subject")
	a["patient"] = []answer{{subject.Get("reference").Text(), subject, "QuestionnaireResponse.subject"}}
	a["identifier"] = []answer{{node: root.Get("identifier"), at: "QuestionnaireResponse.identifier"}}
	a["askedAt"] = []answer{{root.Get("authored").Text(), root.Get("authored"), "QuestionnaireResponse.authored"}}
	for x := range root.All("extension") {
		if x.Get("url").Is(signatureExtension) {
			a["signature"] = []answer{{node: x.Get("valueSignature"), at: "QuestionnaireResponse.extension"}}
		}
	}
	return a, items(root, "QuestionnaireResponse", a)
}

// items reads the answers of the items below n, groups included.
func items(n resource.Node, at string, a answers) error {
	i := 0
	for item := range n.All("item") {
		place := indexed(at+".item", i)
		i++
		link := item.Get("linkId").Text()
		for v := range item.All("answer") {
			if !linkIDs[link] {
				return outcome.Unprocessable("", outcome.Issue{Code: outcome.CodeInvalid, Expression: place + ".linkId", Diagnostics: "the form has no question of this linkId"})
			}
			for m := range v.Members() {
				if strings.HasPrefix(m.Name(), "value") {
					a[link] = append(a[link], answer{textOf(m), m, place + ".answer"})
				}
			}
		}
		if err := items(item, place, a); err != nil {
			return err
		}
	}
	return nil
}

func textOf(n resource.Node) string {
	if n.Kind() != resource.Object {
		return n.Text()
	}
	if code := n.Get("code").Text(); code != "" {
		return code
	}
	return n.Get("reference").Text()
}
