package outcome

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

func TestRenderTellsTheCallerOnlyWhatWasMeantForIt(t *testing.T) {
	secret := errors.New("dial tcp 10.0.0.7:27017: Jane Doe at /var/lib/handoff")
	for _, c := range []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"untyped", secret, 500, "could not be completed"},
		{"nil", nil, 500, "could not be completed"},
		{"internal", Internal(secret), 500, "could not be completed"},
		{"a 500 with words of its own", New(500, CodeException, "secret %s", secret), 500, "could not be completed"},
		{"a status that is no error", New(200, CodeException, "%s", secret), 500, "could not be completed"},
		{"not found with a cause", NotFound(secret), 404, "was not found"},
		{"not found with words of its own", New(404, CodeForbidden, "hidden: %s", secret), 404, "was not found"},
		{"wrapped", fmt.Errorf("reading: %w: %w", secret, BadRequest(CodeValue, "bad date %q", `"x"`)), 400, `bad date \"\\\"x\\\"\"`},
		{"unauthorized", Unauthorized(secret), 401, "valid access token"},
		{"forbidden", Forbidden("scope"), 403, `"forbidden"`},
		{"conflict", Conflict("v").Because(secret), 409, `"conflict"`},
		{"precondition", PreconditionFailed(CodeConflict, "v"), 412, `"conflict"`},
		{"costly", TooCostly("v"), 403, `"too-costly"`},
		{"unavailable", Unavailable(secret), 503, `"transient"`},
		{"throttled", Throttled(), 429, `"throttled"`},
		{"percent sign", BadRequest(CodeValue, "100%"), 400, "100%"},
		{"expression", BadRequest(CodeValue, "x").At("http.date"), 400, `"expression":["http.date"]`},
	} {
		status, body := Render(c.err)
		if status != c.status || !bytes.Contains(body, []byte(c.want)) {
			t.Errorf("%s: got %d %s", c.name, status, body)
		}
		if strings.Contains(string(body), "Jane") || !json.Valid(body) {
			t.Errorf("%s: body %s", c.name, body)
		}
	}
}

func TestHiddenAndAbsentAreTheSameBytes(t *testing.T) {
	s1, a := Render(NotFound(nil))
	s2, b := Render(fmt.Errorf("hidden by consent: %w", NotFound(errors.New("policy")).At("Patient/1")))
	if s1 != s2 || !bytes.Equal(a, b) || !bytes.Equal(a, NotFoundBody()) {
		t.Errorf("%d %s differs from %d %s", s1, a, s2, b)
	}
}

func TestConstantBodiesCannotBeChanged(t *testing.T) {
	NotFoundBody()[0] = 'x'
	Incomplete()[0] = 'x'
	if NotFoundBody()[0] != '{' || Incomplete()[0] != '{' {
		t.Error("a caller changed a constant body")
	}
}

func TestBytesAreAnOperationOutcome(t *testing.T) {
	for _, b := range [][]byte{Bytes(), Incomplete(), NotFoundBody(), Bytes(Issue{}, Issue{Diagnostics: "\xff\x00\u2028<>"})} {
		r, err := resource.Parse(b)
		if err != nil || r.Type() != "OperationOutcome" || r.Root().Get("issue").Len() == 0 {
			t.Errorf("%s: %v", b, err)
		}
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	e := Conflict("x").Because(io.EOF)
	if !errors.Is(fmt.Errorf("w: %w", e), io.EOF) || !strings.Contains(e.Error(), "EOF") {
		t.Error("the cause is lost")
	}
	if As(nil) != nil {
		t.Error("no error is no outcome")
	}
	u := Unprocessable("", Issue{Code: CodeRequired, Expression: "Patient.x"}, Issue{Code: CodeValue})
	if is := u.Issues(); len(is) != 2 || is[0].Code != CodeRequired || is[0].Expression != "Patient.x" {
		t.Errorf("issues %v", is)
	}
}
