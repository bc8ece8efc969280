package config

// Nearest returns the name that is closest to text by edit distance, or "" when
// none is close enough to be a likely slip.
func Nearest(text string, names []string) string {
	best, bestAt := "", len(text)/3+2
	for _, name := range names {
		if d := distance(text, name); d < bestAt {
			best, bestAt = name, d
		}
	}
	return best
}

// distance is the number of single-byte insertions, deletions and replacements
// that lead from a to b; '-' and '_' count as the same.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] || a[i] == '-' && b[j] == '_' {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
