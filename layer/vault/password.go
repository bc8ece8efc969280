package vault

import (
	"encoding/json"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go/data"
)

// common are the words that guessers try first, in lower case: passwords that
// many people have, and words and first names. It is made when it is first
// asked for, in some 20 ms.
var common = sync.OnceValue(func() (lists struct{ passwords, words map[string]struct{} }) {
	lists.passwords, lists.words = make(map[string]struct{}), make(map[string]struct{})
	for name, to := range map[string]map[string]struct{}{
		"Passwords": lists.passwords, "English": lists.words, "MaleNames": lists.words, "FemaleNames": lists.words,
	} {
		var words struct{ List []string }
		if err := json.Unmarshal(data.MustAsset("data/"+name+".json"), &words); err != nil {
			panic(err) // it is part of the binary
		}
		for _, w := range words.List {
			to[strings.ToLower(w)] = struct{}{}
		}
	}
	return lists
})

// Bounds of a password, in characters.
const (
	minPassword = 8
	maxPassword = 128
)

// checkPassword adds what is wrong with a new password.
func checkPassword(f FieldErrors, field, password string) {
	n := utf8.RuneCountInString(password)
	switch {
	case n == 0:
		f.Add(field, textBlank)
		return
	case n < minPassword:
		f.Add(field, textTooShort(minPassword))
	case n > maxPassword:
		f.Add(field, textTooLong(maxPassword))
		return
	}
	if commonPassword(password) {
		f.Add(field, "This password is too common.")
	}
	if strings.Trim(password, "0123456789") == "" {
		f.Add(field, "This password is entirely numeric.")
	}
}

// commonPassword reports whether a password is one that guessers try first: a
// common password, also with digits or signs behind it, or a word or first name,
// in any case.
func commonPassword(password string) bool {
	password = strings.ToLower(password)
	_, word := common().words[password]
	_, whole := common().passwords[password]
	_, head := common().passwords[strings.TrimRight(password, "0123456789!.?*#$@_-")]
	return word || whole || head
}
