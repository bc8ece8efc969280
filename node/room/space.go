package room

import "strconv"

// Space is what a file system has left for this process, and its size, in bytes.
type Space struct{ Free, Total int64 }

// Bytes writes a number of bytes for people: "96 MiB".
func Bytes(n int64) string {
	const units = "KMGT"
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	v, i := float64(n)/(1<<10), 0
	for v >= 1<<10 && i < len(units)-1 {
		v /= 1 << 10
		i++
	}
	decimals := 0
	if v < 10 {
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64) + " " + units[i:i+1] + "iB"
}
