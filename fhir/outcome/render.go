package outcome

import (
	"net/http"

	"github.com/handoff-health/handoff/fhir/resource"
)

const (
	notFoundText   = "the resource was not found"
	internalText   = "the request could not be completed"
	incompleteText = "not all data sources could be asked; the result may be incomplete"
)

// Constant bodies. They are strings so that nobody can change them.
var (
	notFoundBody   = string(Bytes(Issue{Code: CodeNotFound, Diagnostics: notFoundText}))
	internalBody   = string(Bytes(Issue{Severity: Fatal, Code: CodeException, Diagnostics: internalText}))
	incompleteBody = string(Bytes(Issue{Severity: Warning, Code: CodeIncomplete, Diagnostics: incompleteText}))
)

// NotFoundBody is the answer to a read of what is absent or hidden: the same
// bytes for both.
func NotFoundBody() []byte { return []byte(notFoundBody) }

// Incomplete is the one outcome of a partial answer: no system, no count
// (decisions 3.2). It is an entry of the searchset, mode outcome.
func Incomplete() []byte { return []byte(incompleteBody) }

// Bytes writes an OperationOutcome with these issues; without any it says that
// all went well, since FHIR requires one.
func Bytes(issues ...Issue) []byte {
	if len(issues) == 0 {
		issues = []Issue{{Severity: Information, Code: CodeInformation, Diagnostics: "all OK"}}
	}
	b := []byte(`{"resourceType":"OperationOutcome","issue":[`)
	for i, is := range issues {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendIssue(b, is)
	}
	return append(b, "]}"...)
}

func appendIssue(b []byte, is Issue) []byte {
	if is.Severity == "" {
		is.Severity = Failure
	}
	if is.Code == "" {
		is.Code = CodeProcessing
	}
	b = append(b, `{"severity":`...)
	b = append(b, resource.Quote(string(is.Severity))...)
	b = append(b, `,"code":`...)
	b = append(b, resource.Quote(string(is.Code))...)
	if is.Details != "" {
		b = append(b, `,"details":{"coding":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/finding","code":`...)
		b = append(b, resource.Quote(is.Details)...)
		b = append(b, "}]}"...)
	}
	if is.Diagnostics != "" {
		b = append(b, `,"diagnostics":`...)
		b = append(b, resource.Quote(is.Diagnostics)...)
	}
	if is.Expression != "" {
		b = append(b, `,"expression":[`...)
		b = append(b, resource.Quote(is.Expression)...)
		b = append(b, ']')
	}
	return append(b, '}')
}

// Render gives the HTTP status and the OperationOutcome for err. An untyped
// error, one with a status that is no error's, and every 5xx made by Internal
// gives a constant body; a 404 is always [NotFoundBody].
func Render(err error) (status int, body []byte) {
	e := As(err)
	switch {
	case e == nil, e.Status < 400, e.Status > 599, e.Status == http.StatusInternalServerError:
		return http.StatusInternalServerError, []byte(internalBody)
	case e.Status == http.StatusNotFound:
		return e.Status, NotFoundBody()
	}
	return e.Status, Bytes(e.Issues()...)
}
