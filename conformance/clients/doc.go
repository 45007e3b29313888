// Package clients runs client libraries that integrators use (fhir-kit-client,
// jose) against the gateway's token endpoint and FHIR side: what a library does
// differently from the specification shows here first.
//
// backend.mjs runs against any server; README.md says how. The test in this
// package mounts the gateway's own handlers beside a small FHIR stub and runs
// the script against that. It is imported by nobody.
//
// Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
package clients
