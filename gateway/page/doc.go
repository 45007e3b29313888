// Package page gives the gateway's pages one look and one set of headers: it
// turns a view and a template into plain HTML that needs no script, can be used
// by keyboard and screen reader (WCAG 2.2 AA), and can neither be framed nor kept.
//
//	View + template -> layout, stylesheet -> headers, HTML
//
// It knows no person, no client and no request, and decides nothing. What a page
// says and which fields it has is the business of the package that shows it:
// signin and launch. What was wrong inside never reaches a page: a person gets a
// request id and what to do.
//
// Forms post to this server alone (form-action 'self'). Chromium holds every
// redirect after a form post against form-action, so an answer to a form that
// sends the browser to another server is a page that goes on by itself
// ([Forward]), not a redirect.
//
// Spec: https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/WCAG22/
package page
