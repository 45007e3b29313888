package label

import (
	"bytes"
	"encoding/base64"

	"github.com/handoff-health/handoff/fhir/resource"
)

// attachments reads the texts among the attachments of the resource at root: a
// letter sent as text/plain may carry the notice of 42 CFR 2.32, which makes
// the resource a Part 2 record, or name a diagnosis, which labels the
// attachment. What is no text (a PDF, a picture) is not looked into: it is
// labelled by the resource around it.
func (l *Labeller) attachments(root resource.Node, top *Labels) {
	root.Descend(func(n resource.Node) bool {
		data := n.Get("data")
		if n.Kind() != resource.Object || data.Kind() != resource.String || !isTextType(n.Get("contentType").Text()) {
			return true
		}
		text, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(stringBytes(data)), nil)))
		if err != nil {
			return true
		}
		seen := plain(text)
		if hasNotice(text) || hasNotice(seen) {
			top.computeLaw(Part2, Reason{Basis: "notice", at: data})
		}
		sub := top.part()
		if l.text(seen, data, true, false, &sub); !sub.Sensitive() {
			return true
		}
		if n == root { // a Binary is nothing but its content
			for _, s := range sub.Sensitivity {
				top.compute(s, Reason{Basis: "text", at: data})
			}
			return true
		}
		top.Elements = append(top.Elements, Element{n, sub})
		return true
	})
}

// isTextType says whether a content type is one of texts.
func isTextType(contentType string) bool {
	for _, t := range [...]string{"text/", "application/json", "application/fhir+json", "application/xml", "application/fhir+xml", "application/xhtml+xml", "application/hl7-v2", "application/rtf", "x-application/hl7-v2", "hl7v2"} {
		if indexFold([]byte(contentType), t) == 0 {
			return true
		}
	}
	return false
}
