package mongo

import (
	"context"
	"regexp"
	"testing"
)

func TestTheDeploymentSaysWhatItIs(t *testing.T) {
	got, err := fresh(t).Deployment(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^(FerretDB v\d|MongoDB \d).*\d`).MatchString(got) {
		t.Errorf("deployment %q", got)
	}
	t.Log(got)
}
