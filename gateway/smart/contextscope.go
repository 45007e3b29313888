package smart

import "slices"

// contextScopes open no resource: they say what an app wants to learn of its
// launch (SMART 2.2, launch context), of the person (OpenID Connect), and how
// long it wants to be let in.
var contextScopes = []string{
	ScopeLaunch, ScopeLaunchPatient, ScopeLaunchEncounter, ScopeOpenID, ScopeFHIRUser, ScopeProfile, ScopeOffline, ScopeOnline,
}

// The scopes beside those of resources and operations.
const (
	ScopeLaunch          = "launch"
	ScopeLaunchPatient   = "launch/patient"
	ScopeLaunchEncounter = "launch/encounter"
	ScopeOpenID          = "openid"
	ScopeFHIRUser        = "fhirUser"
	ScopeProfile         = "profile"
	ScopeOffline         = "offline_access"
	ScopeOnline          = "online_access"
)

// ContextScopes lists them.
func ContextScopes() []string { return slices.Clone(contextScopes) }

// ContextScope says whether s is one of them.
func ContextScope(s string) bool { return slices.Contains(contextScopes, s) }
