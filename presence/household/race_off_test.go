//go:build !race

package household

// seeds is how many homes a test looks at, and days how long each is played.
const seeds, days = 5, 28
