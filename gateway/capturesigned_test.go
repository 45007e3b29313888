package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

// A signature is kept as it was sent, so it must be one; it need not say of what
// format its bytes are.
func TestASignatureIsKeptOnlyIfItIsOne(t *testing.T) {
	c := scene(t)
	signed := written("Patient/p1", "1")
	for what, broken := range map[string]string{
		"a type that is no Coding": strings.Replace(signed["signature"], `"type":[{`, `"type":["x",{`, 1),
		"an unknown member":        strings.Replace(signed["signature"], `"sigFormat"`, `"foo":{"a":1},"sigFormat"`, 1),
	} {
		if a := c.captures("tablet", signed.change("signature", broken)); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Provenance.signature") {
			t.Errorf("%s: %s", what, a)
		}
	}
	if ps := c.provenances(); len(ps) > 0 {
		t.Errorf("kept: %v", ps)
	}
	bare := strings.Replace(signed["signature"], `"sigFormat":"image/png",`, "", 1)
	if a := c.captures("tablet", signed.change("signature", bare)); a.status != http.StatusCreated || !strings.Contains(a.body, "application/octet-stream") {
		t.Errorf("without a format: %s", a)
	}
}
