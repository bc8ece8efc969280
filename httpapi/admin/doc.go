// Package admin serves the operator's API: health for load balancers and
// people, and what the cluster knows of itself. Everything under /cluster
// needs the cluster's root key; health needs none and tells no secret.
//
// Answers are JSON, but for health, which is text. Errors are JSON of the form
// {"error":{"code":"not_found","message":"...","request_id":"..."}}. The API
// is not for browsers: it sends no CORS headers.
//
// The package never learns what a node is made of: it asks a Cluster.
package admin
