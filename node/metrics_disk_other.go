//go:build !linux && !darwin

package node

import "io/fs"

func onDisk(info fs.FileInfo) (fileID, int64) { return fileID{}, info.Size() }
