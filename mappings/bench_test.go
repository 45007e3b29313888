package mappings_test

import (
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

// BenchmarkApply is the engine alone: records per second of a full crisis
// contact, decoding left out.
func BenchmarkApply(b *testing.B) {
	m := load(b, riverton)
	rec := contact(b, m, full)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		res, err := m.Apply(rec, mappings.Options{})
		if err != nil || res.Action != mappings.Upsert || len(res.Resources) < 15 {
			b.Fatal(err, res)
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

// full is a record in which most columns are filled.
const full = `Behaviors=Disorganized speech; Suicidal statements
SuicideRisk=Threat
SubstanceObs=Alcohol
ConsentAsked=Y
ConsentResult=GRANTED
ConsentMethod=VERBAL-BWC
ConsentScope=Cedar County BH; case mgmt follow-up
ConsentExpires=72 HRS
HoldFlag=Y
HoldStatute=ZZ 71.05
Disposition=EMERGENCY DETENTION
DestFacility=Harborview Crisis Stabilization Unit
CoResponder=J. Salazar LCSW
WeaponPresent=Y
WeaponType=Knife
Veteran=Y
Housing=Unsheltered Homeless
PriorContacts12M=3
MedsReported=Y
OLN=ZZ6787408
SSN4=6653
AKA=HALL, CRYSTAL (maiden)
Narrative=R/O contacted subject who was pacing in roadway talking to persons not present. Mother (on scene) stated subj has dx of schizophrenia and stopped taking meds 2 wks ago. Subj agreed to be evaluated.`
