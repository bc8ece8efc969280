package fleet

// Vital reports whether key is that of a record without which an operator cannot
// help a cluster that is short of room: who shall be a member, tokens for nodes
// with larger disks and what those got, the keys of the cluster itself, and the
// account of its backups. They are few and small, and no client causes one to be
// written without the root key or a token that its holder has made.
func Vital(key []byte) bool { return len(key) >= 2 && key[0] == layerByte }
