// Package charset turns bytes of an export into text without losing any: it
// guesses the encoding of delimited files (UTF-8, UTF-16, Windows-1252) and
// decodes the names that files, configuration and HL7 v2 messages use.
//
// A byte that the encoding does not define becomes the control character of the
// same number (as browsers do), so that the caller can find and report it; it is
// never replaced silently. The decoders in adapters call it.
package charset
