// Package archtest holds the plan of the house, and fails the build where the
// house departs from it. It has no code but tests:
//
//   - who may import whom, and which library belongs to which package (table_test.go);
//   - what the replicated packages may not do, for two members must come to the
//     same state from the same log: no clock, no randomness, no files, no
//     network, no walk over a map (purity_test.go);
//   - the rules of the house that a machine can check (house_test.go).
//
// A table that names what no longer exists fails as well. A new package needs a
// row in the table; the failure says where.
package archtest
