package main

import (
	"strings"

	"github.com/handoff-health/handoff/mappings"
)

// feedSamples make inputs of each format, of own work; no person in them is real.
var feedSamples = map[string]func(n int) *feedInput{
	"rms/csv": func(n int) *feedInput {
		var columns []string
		if m, err := mappings.Load(mappings.Files(), "rms/riverton/contact.map.yaml", nil); err == nil {
			columns = m.Columns()
		}
		return &feedInput{head: strings.Join(columns, ",") + "\r\n", record: func(i int) string {
			cells := make([]string, len(columns))
			for k, c := range columns {
				cells[k] = cell(c, i+1, n)
			}
			return strings.Join(cells, ",") + "\r\n"
		}}
	},
	"ehr/hl7v2":   func(int) *feedInput { return &feedInput{record: numbered(adtSample)} },
	"rms/eido":    func(int) *feedInput { return &feedInput{record: numbered(eidoSample)} },
	"rms/jsonl":   func(int) *feedInput { return &feedInput{record: numbered(consentSample)} },
	"rms/ndex":    func(int) *feedInput { return &feedInput{head: ndexHead, record: numbered(ndexSample), tail: ndexTail} },
	"rms/webhook": func(int) *feedInput { return &feedInput{record: numbered(eventSample)} },
}

const adtSample = "MSH|^~\\&|REG|CEDARBH|HANDOFF|COUNTY|202604{A}101500-0400||ADT^A01^ADT_A01|M{N}|P|2.5.1|||AL|NE\r" +
	"EVN|A01|202604{A}101500-0400\r" +
	"PID|1||{N}^^^CEDARBH&2.16.840.1.113883.19.77&ISO^MR||Example{L}^Pat^Q^^^^L||{b}|F||2106-3^White^CDCREC|12 Mill Rd^^Riverton^ZZ^00501^USA^H||^PRN^PH^^1^555^5550101\r" +
	"PD1||||9001^Sample^Kim^^^Dr^MD\r" +
	"PV1|1|I|3W^12^A^CEDARBH||||9002^Tester^Lee^^^Dr^MD|||PSY||||1|||9002^Tester^Lee^^^Dr^MD||V{N}^^^CEDARBH&2.16.840.1.113883.19.77&ISO^VN|||||||||||||||||||||||||202604{A}100500-0400\r" +
	"PV2|||^Crisis evaluation\r" +
	"DG1|1||F43.0^Acute stress reaction^I10||202604{A}|A\r"

const ndexHead = `<?xml version="1.0" encoding="UTF-8"?>
<lexspd:doPublish xmlns:lexspd="http://usdoj.gov/leisp/lexs/publishdiscover/3.1" xmlns:lexs="http://usdoj.gov/leisp/lexs/3.1" xmlns:lexsdigest="http://usdoj.gov/leisp/lexs/digest/3.1" xmlns:nc="http://niem.gov/niem/niem-core/2.0" xmlns:j="http://niem.gov/niem/domains/jxdm/4.0" xmlns:s="http://niem.gov/niem/structures/2.0"><lexs:PublishMessageContainer><lexs:PublishMessage>
`

const ndexSample = `<lexs:DataItemPackage><lexs:PackageMetadata><lexs:DataItemID>ITEM-{N}</lexs:DataItemID><lexs:DataItemPublishInstruction>Insert</lexs:DataItemPublishInstruction><lexs:DataOwnerMetadata><lexs:DataOwnerIdentifier><lexs:ORI>ZZ0030300</lexs:ORI></lexs:DataOwnerIdentifier></lexs:DataOwnerMetadata></lexs:PackageMetadata><lexs:Digest><lexsdigest:EntityActivity><nc:Activity s:id="A{N}"><nc:ActivityIdentification><nc:IdentificationID>26-{N}</nc:IdentificationID></nc:ActivityIdentification><nc:ActivityCategoryText>Service Call</nc:ActivityCategoryText><nc:ActivityDate><nc:DateTime>2026-02-{A}T22:15:00-05:00</nc:DateTime></nc:ActivityDate></nc:Activity></lexsdigest:EntityActivity><lexsdigest:EntityPerson><lexsdigest:Metadata s:id="M{N}"><nc:SourceIDText>P-{N}</nc:SourceIDText></lexsdigest:Metadata><lexsdigest:Person s:id="P{N}" s:metadata="M{N}"><nc:PersonBirthDate><nc:Date>{B}</nc:Date></nc:PersonBirthDate><nc:PersonName><nc:PersonGivenName>Ines</nc:PersonGivenName><nc:PersonSurName>Sample{L}</nc:PersonSurName></nc:PersonName><nc:PersonSexCode>F</nc:PersonSexCode></lexsdigest:Person><j:Subject s:id="S{N}"><nc:RoleOfPersonReference s:ref="P{N}"/></j:Subject></lexsdigest:EntityPerson></lexs:Digest></lexs:DataItemPackage>
`

const ndexTail = "</lexs:PublishMessage></lexs:PublishMessageContainer></lexspd:doPublish>\n"

const eidoSample = `{"$id":"urn:emergency:uid:incidentid:{N}:cad.example","lastUpdateTimeStamp":"2026-04-{A}T22:40:00.000-05:00","eidoVersion":"1.0",` +
	`"agencyComponent":[{"$id":"pd.test.example","agencyType":["police.municipal"],"incidentOwningAgencyIndicator":true}],` +
	`"incidentComponent":{"$id":"urn:emergency:uid:incident:{N}:cad.example","lastUpdateTimeStamp":"2026-04-{A}T22:30:00.000-05:00","incidentTypeInternalText":"Mental","incidentTypeCommonRegistryText":["MTLV"],"incidentStatusCommonRegistryText":["Closed"],"internalIncidentId":"CS{N}","incidentCommonPriorityNumber":1,"personReference":[{"$ref":"per-1"}],"locationReference":[{"$ref":"loc-1"}]},` +
	`"locationComponent":[{"$id":"loc-1","locationTypeDescriptionRegistryText":"CurrentIncident","locationByValue":"<presence xmlns='urn:ietf:params:xml:ns:pidf'><civicAddress><country>US</country><A1>ZZ</A1><A3>Testville</A3><RD>Sample</RD><STS>St</STS><HNO>7</HNO><PC>00501</PC></civicAddress></presence>"}],` +
	`"personComponent":[{"$id":"per-1","personIncidentRoleRegistryText":["Patient"],"ncPersonComponent":{"name":[{"given":[{"simpleType":"Pat"}],"surName":[{"simpleType":"Example{L}"}]}],"birthDate":[{"date":{"simpleType":"{B}"}}],"sexText":[{"simpleType":"F"}]}}],` +
	`"callComponent":[{"$id":"call-1","callStartTimestamp":"2026-04-{A}T22:13:00.000-05:00"}]}` + "\n"

const consentSample = `{"consent_id": "C-{N}", "subject": {"mni": "R{N}", "name": "Pat Example{L}", "dob": "{B}"}, "incident_no": "26-{N}", "asked_at": "2026-01-{A}T08:00:00-05:00", "decision": "granted", "method": "written_esign", "language": "en", "capacity_observed": "appears_able", "direction": "both", "scope": ["this_encounter", "crisis_response_plan"], "recipients": ["CCBH"], "purpose": "TREAT", "expires": "2026-12-31", "officer_badge": "4502", "witness_badge": "4125", "part2_notice_given": true, "revoked_at": null}` + "\n"

const eventSample = `{"event_id": "E{N}", "sequence": 1{N}, "type": "report.created", "agency_ori": "ZZ0010300", "occurred_at": "2026-03-{A}T06:00:00Z", "schema": "rms.v3", "data": {"report_id": "MV{N}", "report_type": "FIELD_CONTACT", "person": {"master_person_id": 7{N}, "first_name": "Pat", "last_name": "Example{L}", "dob": "{B}", "sex": "F", "race": "W", "ethnicity": "N", "ssn_last4": null}, "crisis": {"flag": true, "disposition": "REFERRED", "behaviors": ["PARANOID"], "weapon": false, "veteran": false}, "officer": {"badge": "7001", "name": "Ofc T. Sample"}, "contact_start": "2026-03-{A}T20:00:00-05:00"}}` + "\n"
