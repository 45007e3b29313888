// Package launch brings a person from an authorization request to a decision: it
// has them sign in (signin), finds the patient and the encounter in context, shows
// what the app asks for and in which role and for which purpose, and tells oauth
// what they let it do. It also keeps the contexts of EHR launches, which a
// connected system registers before it opens an app.
//
//	request (oauth) -> person (signin) -> role, purpose -> patient, encounter -> scopes -> decision (oauth)
//
// Which patients a person may pick from is decided by the gateway's own pipeline:
// the pickers ask it inside the process, for the person in the role and for the
// purpose that they chose (auth.Registry.Picking). Nothing of a choice is kept in
// the browser. The pages are plain HTML that works without scripts.
//
// Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
package launch
