package mappings

// A keyDoc explains one key of the language's files.
type keyDoc struct{ key, means string }

// A keyTable explains the keys that one kind of map can have. keys is what the
// compiler allows: a test holds the two together.
type keyTable struct {
	title string
	keys  []string
	docs  []keyDoc
}

var note = keyDoc{"note", "words for people; read by nobody else"}

func keyTables() []keyTable {
	return append(mappingTables(), profileTables()...)
}

func mappingTables() []keyTable {
	return []keyTable{
		{"Keys of a mapping", mapKeys, []keyDoc{
			{"mapping", "its name, in Provenance and reports: `our/contact`"},
			{"version", "its version, in Provenance"},
			note,
			{"profile", "the profile file that is used when none is given"},
			{"kinds", "the kinds of records that it takes, as the decoder names them: `contact`, `ADT_A01`; of HL7 v2 also `'*'`, for all others"},
			{"columns", "of a table: its columns, each a name or `{name, aliases: [other names in headers], required: true}`; a file without a required column is refused. Case, blanks and punctuation of headers do not count"},
			{"segments", "of HL7 v2: the segments, Z segments too, each with the number of its last field: `{PID: 40, ZPV: 4}`"},
			{"elements", "of XML and JSON: the paths that the decoder gives, from the root: `Incident/Person/Name`, `Incident/@id`"},
			{"vocabularies", "name: CSV file, or a list of files, of which a later one takes the place of an earlier one code by code. Paths are from this file; `/codes/x.csv` from the root, where the built-in ones are"},
			{"datatypes", "files with reusable rows: `datatypes: {cx: {type: Identifier, rows: […]}}`; a row uses one by `from` and `use`, its paths start at the item: `.1`, `./Given`"},
			{"rowsets", "name: rows that resources of this mapping take in by `include`"},
			{"rowset-files", "files with `rowsets:` that several mappings share"},
			{"let", "named values, computed once in order, each of which can use those before it: `{name, expr, when, field}`; without `when` holding it is empty; `field` says to which field its findings belong"},
			{"key", "expression: what names the record at its source. Records of one key are versions of one record"},
			{"record-version", "expression: a text that is greater the newer the record is, `moment(Changed).Version()`; empty: the order of arrival counts"},
			{"record-groups", "expressions: wider keys, such as the incident's, the widest first, by which a record is found whose own key has been blanked"},
			{"record-scope", "expression: the group that a seal or expunge is meant for if its record has no key of its own"},
			{"update", "`merge`, or `{merge: [kinds]}`: records say only what changes. Each row of a resource is then a slot that keeps the newest value that any record stated; an HL7 `\"\"` empties it"},
			{"outcomes", "`{when, action, code, message, field}`, the first that holds counts: `reject`, `seal`, `expunge`, `keep` (nothing is made, the text is kept), `test`. A seal with `resources: none` acts by the key alone"},
			{"checks", "`{when, severity, code, message, field}`: findings that go on; severity error, warning (if none is given) or information"},
			{"ignore", "field: why no row reads it. A segment or an element stands for all below it. What is neither read nor ignored is counted as unmapped"},
			{"resources", "what is made"},
			{"merges", "which persons become one, or two again"},
		}},
		{"Keys of a resource", ruleKeys, []keyDoc{
			{"id", "its name in this mapping, for `ref`, `contained-in`, `merges` and overlays"},
			{"type", "the resource type"},
			{"contained-in", "the id of the resource that holds it; then it has no system, key, foreach or over"},
			{"owned", "`true`: it belongs to this record alone; when a later version of the record does not make it, it is gone"},
			{"optional", "`true`: if a required row makes nothing, it is left out with a finding; otherwise the record is rejected"},
			{"stub", "`true`: a minimal Patient that only a merge names; stored where nothing of its id is, and anything else takes its place"},
			{"include", "names of rowsets, whose rows come before its own"},
			{"let", "named values of this resource or item"},
			{"when", "condition; without it always"},
			{"foreach", "an expression that gives a list: one resource for each `item`"},
			{"over", "a path, or a group of segments: one resource for each node; see Paths"},
			{"system", "expression: the system of its key. System and key make the id"},
			{"key", "expression: its key at the source, the same in every record that tells of it"},
			{"rows", "its elements"},
			note,
		}},
		{"Keys of a group of resources", groupKeys, []keyDoc{
			{"let", "named values of the item, for all resources of the group"},
			{"when", "condition of the item"},
			{"foreach", "an expression that gives a list: the group is made for each `item`"},
			{"over", "a path, or a group of segments: the group is made for each node. Inside, `ref` means the resource of the same item"},
			{"resources", "resources, or groups again, at most 8 deep"},
			note,
		}},
		{"Keys of a row", rowKeys, []keyDoc{
			{"to", "the element: `gender`, `period.start`, `birthDate.extension`. What repeats is set by a row with `rows`"},
			{"from", "a field or path, or a list of them, of which the first with text counts"},
			{"expr", "an expression"},
			{"value", "a constant: text, or a map of the elements of a data type, or a list where the element repeats"},
			{"ref", "a reference to the resource of this id; `'*'`: to all that the record makes, for Provenance"},
			{"rows", "rows of the element's own elements"},
			{"use", "with `from`: the datatype that makes the element from each item"},
			{"foreach", "with `rows`: one element for each `item` of a list"},
			{"over", "with `rows`: one element for each node of a path"},
			{"vocab", "the vocabulary that translates the value. A value without entry is counted; text and CodeableConcept keep it as text, a code is left out"},
			{"as", "the form to which the value is brought; see below. Without it, that of the element"},
			{"when", "condition; if it does not hold the row makes nothing, `else` and `absent` neither"},
			{"else", "a constant for when the row makes nothing"},
			{"absent", "expression: a code of data-absent-reason for when the row makes nothing; empty: none"},
			{"required", "`true`: without this value the element above, or the resource, is not made"},
			{"name", "with `update: merge`, of a row of a resource itself: the slot's name, so that it stays the same when the row reads other fields"},
			{"delete", "with `update: merge`: a condition under which the slot is emptied, besides an HL7 `\"\"` in the fields that it reads"},
			{"default", "with `update: merge`, `true`: the value stands only where no record stated the slot"},
			note,
		}},
		{"Keys of a merge", mergeKeys, []keyDoc{
			{"survivor", "the Patient that goes on: the id of a resource, or `{system, key}`"},
			{"loser", "the Patient that is merged into it; both must be of one assigning authority"},
			{"when", "condition"},
			{"undo", "condition: they are two persons after all"},
			{"foreach", "one merge for each `item` of a list"},
			{"over", "one merge for each node or group of segments: `PID+PD1+MRG`"},
			{"let", "named values of the item"},
			note,
		}},
	}
}

func profileTables() []keyTable {
	return []keyTable{
		{"Keys of a profile", profileKeys, []keyDoc{
			{"profile", "its name, in Provenance"},
			{"mapping", "the mapping: a file beside the profile, or a built-in one: `ehr/hl7v2/adt.map.yaml`"},
			{"adapter", "the decoder: `rms/csv`, `ehr/hl7v2`"},
			{"charset", "`utf-8`, `windows-1252`, `iso-8859-1` …; it goes before what an HL7 v2 message states (MSH-18). Without it, it is found from that or from the text"},
			{"delimiter", "of a table: one to four characters, or `tab`; without it, it is found from the header"},
			{"aliases", "header in the file: column of the mapping"},
			{"timezone", "of times without offset: `America/Chicago`"},
			{"dates", "`month-first` (if none is given) or `day-first`: what 07/03/1979 means"},
			{"agencies", "ORI: name of the agency; records of others are refused if there are any"},
			{"default-ori", "the ORI of records that state none"},
			{"licence-state", "the state that issued licences which name none"},
			{"race-list", "`nibrs` (if none is given) or `ncic`: what the code A means"},
			{"consent", "`{default-hours, default-recipients}`: how long a consent without end lasts (72), and for whom one without recipient is; a recipient is a name or `{name, organization}`"},
			{"test-names", "family names of test records, besides the usual ones"},
			{"systems", "HL7 v2 assigning authority: identifier system"},
			{"sender-base", "the URI under which the sender's own identifier systems stand"},
			{"organizations", "name in the records: id of the organization in the gateway's configuration"},
			{"inherit", "a profile whose keys hold where this one says nothing; maps are joined key by key. At most 8 in a row"},
			note,
			{"version", "its version, in Provenance"},
		}},
		{"Keys of a profile that change its mapping", overlayKeys, []keyDoc{
			{"kinds", "more kinds of records"},
			{"columns", "more columns, as in a mapping"},
			{"segments", "more segments, such as Z segments, or more fields of those that there are"},
			{"elements", "more elements"},
			{"vocabularies", "files of codes that go before those of the mapping, or new vocabularies"},
			{"datatypes", "more files of datatypes"},
			{"ignore", "more fields that are left out on purpose"},
			{"override", "changes to what the mapping says; see the next two tables"},
		}},
		{"Keys of override", overrideKeys, []keyDoc{
			{"let", "operations on the named values"},
			{"outcomes", "operations on the outcomes, which are called by their code"},
			{"checks", "operations on the checks, which are called by their code"},
			{"key", "another key of the record"},
			{"record-version", "another version of the record"},
			{"record-groups", "other groups"},
			{"record-scope", "another scope"},
			{"merges", "other merges, in place of all of the mapping's"},
			{"rowsets", "name: operations on the rows of a rowset"},
			{"datatypes", "name: operations on the rows of a datatype"},
			{"resources", "operations on the resources, which are called by their id, in groups too"},
		}},
		{"Keys of an operation in override", opKeys, []keyDoc{
			{"add", "a member, or a list of them, at the end or where `before` or `after` says"},
			{"replace", "the member in whose place `with` stands"},
			{"remove", "the member that is taken away"},
			{"change", "the member in which something is changed: `set`, `unset`, `rows`, `let`, `resources`"},
			{"with", "what stands in its place"},
			{"before", "the member before which is added"},
			{"after", "the member after which is added"},
			{"set", "keys of the member with their new values"},
			{"unset", "keys of the member that are taken away"},
			{"rows", "operations on its rows, which are called by `to` or `name`: `telecom[2]` is the second of several, `telecom[*]` all"},
			{"let", "operations on its named values"},
			{"resources", "of a group: operations on its resources"},
			note,
		}},
		{"Keys of a file of tests", caseFileKeys, []keyDoc{
			{"mapping", "the mapping that is tested: a file beside this one, or a built-in one; or"},
			{"profile", "the profile that is tested, with its mapping"},
			{"adapter", "the decoder, if the profile names none"},
			note,
			{"base", "of tables, column: value of every record that says nothing else"},
			{"tests", "the cases"},
		}},
		{"Keys of a test", caseKeys, []keyDoc{
			{"name", "its name, once in a file"},
			note,
			{"input", "the bytes of the records as text; or"},
			{"file", "a file beside this one; or"},
			{"record", "of tables: one record, column: value"},
			{"expect", "FHIRPath that begins with a resource type: the value, or the list of values, that it gives"},
			{"absent", "resource types that are not made, and FHIRPath that gives nothing"},
			{"count", "resource type: how many are made"},
			{"refers", "FHIRPath of a Reference: the type of the resource that it leads to, which must be among those made"},
			{"issues", "codes of findings that must be there"},
			{"rejects", "the codes of all rejects, in order; if it is not given there must be none"},
			{"unmapped", "`vocabulary:code`, or a field, that must be counted as unmapped"},
		}},
	}
}
