// Package smart reads SMART on FHIR scopes (v1 and v2) and says what they
// cover: an interaction on a type before data is touched, and each returned
// resource on its returned form. It also renders the discovery document.
//
// It is pure: it knows no token, key or store. auth calls it when it issues a
// token, the pipeline before a request touches data, policy for each resource.
//
// Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
package smart
