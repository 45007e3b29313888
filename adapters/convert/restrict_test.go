package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters/convert"
)

func contacts(rows ...map[string]string) string {
	var b strings.Builder
	var names []string
	for _, f := range columns {
		names = append(names, f.Name)
	}
	b.WriteString(strings.Join(names, ",") + "\n")
	base := map[string]string{"AgencyORI": "ZZ0010100", "IncidentNo": "25-1", "MNI": "R1", "LastName": "EXAMPLE", "FirstName": "PAT", "DOB": "03/14/1980",
		"ContactDT": "05/01/2025 10:00", "ClearedDT": "05/01/2025 11:00", "Behaviors": "Paranoid", "ConsentAsked": "Y", "ConsentResult": "GRANTED",
		"ConsentMethod": "WRITTEN FORM", "LastModified": "2025-05-02 08:00:00", "RecStatus": "A"}
	for _, r := range rows {
		for i, n := range names {
			v, ok := r[n]
			if !ok {
				v = base[n]
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(v)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Each row once open and once restricted at the same, an older or no time: what
// comes out last of each resource is restricted, whatever the digests are.
func TestRestrictionsWinInOneFile(t *testing.T) {
	f, opts, m := riverton(t)
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	for i := range rounds {
		text := map[string]string{"Narrative": fmt.Sprintf("Calm %d.", i)}
		mod := func(kv ...string) map[string]string {
			out := map[string]string{"Narrative": text["Narrative"]}
			for j := 0; j+1 < len(kv); j += 2 {
				out[kv[j]] = kv[j+1]
			}
			return out
		}
		for name, c := range map[string]struct {
			rows []map[string]string
			want string
		}{
			"sealed":         {[]map[string]string{text, mod("RecStatus", "S")}, `"code":"V"`},
			"sealed before":  {[]map[string]string{mod("RecStatus", "S"), text}, `"code":"V"`},
			"sealed older":   {[]map[string]string{text, mod("RecStatus", "S", "LastModified", "2025-05-01 08:00:00")}, `"code":"V"`},
			"sealed, blank":  {[]map[string]string{text, mod("RecStatus", "S", "LastModified", "")}, `"code":"V"`},
			"blank, sealed":  {[]map[string]string{mod("RecStatus", "S", "LastModified", ""), text}, `"code":"V"`},
			"void":           {[]map[string]string{text, mod("RecStatus", "D")}, `"entered-in-error"`},
			"void before":    {[]map[string]string{mod("RecStatus", "D"), text}, `"entered-in-error"`},
			"revoked":        {[]map[string]string{text, mod("ConsentResult", "REVOKED")}, `"status":"inactive"`},
			"revoked before": {[]map[string]string{mod("ConsentResult", "REVOKED"), text}, `"status":"inactive"`},
		} {
			for _, mode := range []struct{ stream, bundle bool }{{}, {true, false}, {false, true}, {true, true}} {
				var out bytes.Buffer
				j := convert.Job{Format: f, Options: opts, Mapper: m, Bundle: mode.bundle, Out: &out, Rejects: &out}
				if _, err := j.Run(context.Background(), []convert.Path{path(contacts(c.rows...), mode.stream)}); err != nil {
					t.Fatal(err)
				}
				last := map[string]string{}
				for _, l := range strings.Split(out.String(), "\n") {
					var r struct {
						ResourceType, ID string
						Resource         json.RawMessage
					}
					l = strings.TrimSuffix(l, ",")
					l = strings.TrimPrefix(strings.TrimSuffix(l, "]"), "]")
					if json.Unmarshal([]byte(l), &r) != nil {
						continue
					}
					if len(r.Resource) > 0 {
						l = string(r.Resource)
						_ = json.Unmarshal(r.Resource, &r)
					}
					last[r.ResourceType+"/"+r.ID] = l
				}
				for ref, raw := range last {
					typ, _, _ := strings.Cut(ref, "/")
					if typ != "Encounter" && typ != "Consent" && (typ != "Patient" || !strings.HasPrefix(name, "sealed")) ||
						typ == "Encounter" && strings.HasPrefix(name, "revoked") {
						continue
					}
					if !strings.Contains(raw, c.want) {
						t.Fatalf("%s, %+v: %s", name, mode, raw)
					}
				}
				if len(last) < 4 {
					t.Fatalf("%s: %d resources", name, len(last))
				}
			}
		}
	}
}

func TestAnOrderWithoutAPersonHidesTheWholeIncident(t *testing.T) {
	f, opts, m := riverton(t)
	for _, status := range []string{"X", "S"} {
		rows := contacts(map[string]string{"MNI": "R821"}, map[string]string{"MNI": "R822"}, map[string]string{"IncidentNo": "25-2", "MNI": "R823", "LastName": "STAYS"},
			map[string]string{"RecStatus": status, "MNI": "", "LastName": "", "FirstName": "", "DOB": ""},
			map[string]string{"IncidentNo": "25-9", "RecStatus": status, "MNI": "", "LastName": "", "FirstName": "", "DOB": ""})
		for _, mode := range []struct{ stream, bundle bool }{{}, {false, true}, {true, true}} {
			var out bytes.Buffer
			j := convert.Job{Format: f, Options: opts, Mapper: m, Bundle: mode.bundle, Out: &out}
			reports, err := j.Run(context.Background(), []convert.Path{path(rows, mode.stream)})
			if err != nil {
				t.Fatal(err)
			}
			if r := reports[0]; r.Created != 3 || r.Updated != 1 || r.Rejects != 1 || !r.AddsUp() {
				t.Errorf("%s, %+v: %+v", status, mode, *r)
			}
			if s := out.String(); strings.Contains(s, "EXAMPLE") || !strings.Contains(s, "STAYS") || strings.Count(s, `"resourceType":"Encounter"`) != 1 {
				t.Errorf("%s, %+v: %s", status, mode, s)
			}
		}
	}
}
