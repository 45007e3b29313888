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
	"ehr/hl7v2": func(int) *feedInput { return &feedInput{record: numbered(adtSample)} },
	"rms/ndex":  func(int) *feedInput { return &feedInput{head: ndexHead, record: numbered(ndexSample), tail: ndexTail} },
}

const adtSample = "MSH|^~\\&|REG|CEDARBH|HANDOFF|COUNTY|202604{A}101500-0400||ADT^A01^ADT_A01|M{N}|P|2.5.1|||AL|NE\r" +
	"EVN|A01|202604{A}101500-0400\r" +
	"PID|1||{N}^^^CEDARBH&2.16.840.1.113883.19.77&ISO^MR||Example^Pat^Q^^^^L||19800317|F||2106-3^White^CDCREC|12 Mill Rd^^Riverton^ZZ^00501^USA^H||^PRN^PH^^1^555^5550101\r" +
	"PD1||||9001^Sample^Kim^^^Dr^MD\r" +
	"PV1|1|I|3W^12^A^CEDARBH||||9002^Tester^Lee^^^Dr^MD|||PSY||||1|||9002^Tester^Lee^^^Dr^MD||V{N}^^^CEDARBH&2.16.840.1.113883.19.77&ISO^VN|||||||||||||||||||||||||202604{A}100500-0400\r" +
	"PV2|||^Crisis evaluation\r" +
	"DG1|1||F43.0^Acute stress reaction^I10||202604{A}|A\r"

const ndexHead = `<?xml version="1.0" encoding="UTF-8"?>
<lexspd:doPublish xmlns:lexspd="http://usdoj.gov/leisp/lexs/publishdiscover/3.1" xmlns:lexs="http://usdoj.gov/leisp/lexs/3.1" xmlns:lexsdigest="http://usdoj.gov/leisp/lexs/digest/3.1" xmlns:nc="http://niem.gov/niem/niem-core/2.0" xmlns:j="http://niem.gov/niem/domains/jxdm/4.0" xmlns:s="http://niem.gov/niem/structures/2.0"><lexs:PublishMessageContainer><lexs:PublishMessage>
`

const ndexSample = `<lexs:DataItemPackage><lexs:PackageMetadata><lexs:DataItemID>ITEM-{N}</lexs:DataItemID><lexs:DataItemPublishInstruction>Insert</lexs:DataItemPublishInstruction><lexs:DataOwnerMetadata><lexs:DataOwnerIdentifier><lexs:ORI>ZZ0030300</lexs:ORI></lexs:DataOwnerIdentifier></lexs:DataOwnerMetadata></lexs:PackageMetadata><lexs:Digest><lexsdigest:EntityActivity><nc:Activity s:id="A{N}"><nc:ActivityIdentification><nc:IdentificationID>26-{N}</nc:IdentificationID></nc:ActivityIdentification><nc:ActivityCategoryText>Service Call</nc:ActivityCategoryText><nc:ActivityDate><nc:DateTime>2026-02-{A}T22:15:00-05:00</nc:DateTime></nc:ActivityDate></nc:Activity></lexsdigest:EntityActivity><lexsdigest:EntityPerson><lexsdigest:Metadata s:id="M{N}"><nc:SourceIDText>P-{N}</nc:SourceIDText></lexsdigest:Metadata><lexsdigest:Person s:id="P{N}" s:metadata="M{N}"><nc:PersonBirthDate><nc:Date>1988-04-{A}</nc:Date></nc:PersonBirthDate><nc:PersonName><nc:PersonGivenName>Ines</nc:PersonGivenName><nc:PersonSurName>Sample</nc:PersonSurName></nc:PersonName><nc:PersonSexCode>F</nc:PersonSexCode></lexsdigest:Person><j:Subject s:id="S{N}"><nc:RoleOfPersonReference s:ref="P{N}"/></j:Subject></lexsdigest:EntityPerson></lexs:Digest></lexs:DataItemPackage>
`

const ndexTail = "</lexs:PublishMessage></lexs:PublishMessageContainer></lexspd:doPublish>\n"
