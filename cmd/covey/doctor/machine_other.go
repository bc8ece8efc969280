//go:build !linux && !darwin

package doctor

// openFilesLimit is not known here.
func openFilesLimit() uint64 { return 0 }
