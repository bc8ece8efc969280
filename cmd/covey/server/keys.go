package server

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// readGossipKey reads a key of 16, 24 or 32 bytes in base64 or hexadecimal.
func readGossipKey(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.E(errs.Invalid, "--gossip-key-file: %w", err)
	}
	text := strings.TrimSpace(string(file))
	// Hexadecimal first: its digits are also base64, of another key.
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if key, err := decode(text); err == nil && (len(key) == 16 || len(key) == 24 || len(key) == 32) {
			return key, nil
		}
	}
	return nil, errs.E(errs.Invalid, "--gossip-key-file: %s holds no key of 16, 24 or 32 bytes in base64 or hexadecimal; make one with: openssl rand -base64 32", path)
}
