// Package upstreamtest is the suite that every kind of upstream passes, a small
// honest FHIR server to run it on, and servers that are broken in every way the
// project knows of.
package upstreamtest
