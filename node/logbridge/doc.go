// Package logbridge lets hashicorp's libraries log into log/slog.
//
// They want an hclog.Logger; New makes one of a *slog.Logger. Values are turned
// to text only if the line is written, level by level as slog's handler wants
// it, and lines that the libraries write at a higher level than they deserve are
// demoted by a table. It never writes anywhere but to the slog.Logger, and keeps
// no state but names and attributes.
package logbridge
