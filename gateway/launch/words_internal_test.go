package launch

import "testing"

func TestWordsOfScopesAndTimes(t *testing.T) {
	for in, want := range map[string]string{
		"patient/Patient.rs":                "Read and search Patient records of this patient that you may see",
		"user/Practitioner.r":               "Read Practitioner records that you may see",
		"user/Consent.cru":                  "Read, add and change Consent records that you may see",
		"patient/*.s":                       "Search all kinds of records of this patient that you may see",
		"patient/Observation.rs?category=x": "Read and search Observation records with category x of this patient that you may see",
		"launch/patient":                    "",
	} {
		if got := scopeWords(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"2026-03-28T04:45:00-05:00": "2026-03-28 04:45", "2026-03-28T04:45:00.123Z": "2026-03-28 04:45", "2026-03-28": "2026-03-28", "2026": "2026", "": "",
	} {
		if got := minute(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
