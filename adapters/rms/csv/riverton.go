package csv

import (
	"strings"

	"github.com/handoff-health/handoff/adapters"
)

// RivertonMapping is the mapping that the format has built in.
const RivertonMapping = "rms/riverton/contact.map.yaml"

// Riverton returns the columns of the built-in crisis-contact export, by which
// its header is recognised. Required are those without which a record can be
// neither identified nor handled lawfully: without RecStatus nobody could tell a
// sealed or expunged record from an active one.
func Riverton() []adapters.Field {
	required := map[string]bool{"AgencyORI": true, "IncidentNo": true, "MNI": true, "LastName": true,
		"ContactDT": true, "LastModified": true, "RecStatus": true}
	aliases := map[string][]string{
		"AgencyORI":    {"ORI", "Agency ORI", "Agency"},
		"IncidentNo":   {"Incident Number", "Inc No", "Incident #", "Incident"},
		"SuppNo":       {"Supplement", "Supp", "Supplement No"},
		"CallNo":       {"CAD Call No", "Call Number", "CFS No"},
		"MNI":          {"Master Name Index", "MNI No", "Name ID"},
		"LastName":     {"Last", "Surname", "Last Nm"},
		"FirstName":    {"First", "Given Name", "First Nm"},
		"MiddleName":   {"Middle", "MI"},
		"DOB":          {"Date of Birth", "Birth Date"},
		"ContactDT":    {"Contact Date", "Contact Date Time", "Contact DateTime"},
		"ClearedDT":    {"Cleared Date", "Cleared Date Time"},
		"LastModified": {"Last Mod", "Modified", "Last Modified Date", "Last Updated"},
		"RecStatus":    {"Record Status", "Rec Stat"},
		"Sex":          {"Gender"},
		"Zip":          {"Zip Code", "Postal Code"},
		"HomeAddr":     {"Home Address"},
		"OfficerBadge": {"Badge", "Badge No"},
	}
	names := strings.Fields(`AgencyORI IncidentNo SuppNo CallNo MNI LastName FirstName MiddleName Suffix AKA DOB
		AgeEst Sex Race Ethnicity Hgt Wgt OLN SSN4 HomeAddr City State Zip Phone ContactDT ClearedDT IncLocation
		Beat InitialCallType FinalCallType CallSource Involvement CrisisFlag CITForm CITOfficerReq CITOfficerArr
		CoResponder Behaviors SuicideRisk SuicideMethod SubstanceObs WeaponPresent WeaponType UseOfForce ForceType
		InjurySubj Veteran Housing PriorContacts12M KnownClient MedsReported Disposition HoldFlag HoldStatute
		TransportMode DestFacility ReferralTo ReferralAccepted ArrestMade ConsentAsked ConsentResult ConsentMethod
		ConsentScope ConsentExpires ConsentWitness OfficerBadge OfficerName Narrative LastModified RecStatus`)
	fields := make([]adapters.Field, len(names))
	for i, n := range names {
		fields[i] = adapters.Field{Name: n, Aliases: aliases[n], Required: required[n]}
	}
	return fields
}
