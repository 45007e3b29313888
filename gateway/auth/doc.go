// Package auth says who is asking: it verifies what comes from outside signed
// (client assertions, access tokens), runs the SMART Backend Services token
// endpoint, and turns a bearer token into a [Principal].
//
// Every outside signature is verified by one function. It never takes an
// organisation, role or purpose from a request; those come from registration.
//
// Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
package auth
