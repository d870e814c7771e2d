package suite

import (
	"bytes"
	"fmt"
	"math/big"
	"testing"
)

// TestPrimes computes each prime by the formula of RFC 2409 section 6 and RFC
// 3526, with pi from Machin's series, and shows that p and (p-1)/2 are prime
// and that 2 is a square. Nothing here is taken from a list of digits.
func TestPrimes(t *testing.T) {
	for _, id := range []uint16{MODP768, MODP1024, MODP1536, MODP2048, MODP3072, MODP4096, MODP6144, MODP8192} {
		g, ok := modp(id)
		if !ok {
			t.Fatalf("no group %d", id)
		}
		t.Run(fmt.Sprint(g.bits), func(t *testing.T) {
			one, n := big.NewInt(1), uint(g.bits)
			p := new(big.Int).Lsh(one, n)
			p.Sub(p, new(big.Int).Lsh(one, n-64))
			p.Sub(p, one)
			middle := piTimesTwoTo(n - 130)
			middle.Add(middle, big.NewInt(g.k))
			p.Add(p, middle.Lsh(middle, 64))
			if !bytes.Equal(p.Bytes(), g.prime()) {
				t.Fatalf("the prime is not the formula's:\n%x\n%x", g.prime(), p)
			}
			if g.bits > 4096 && testing.Short() {
				return
			}
			// Baillie-PSW alone: no composite is known that passes it, and the
			// formula leaves nobody a choice of digits.
			if !p.ProbablyPrime(0) {
				t.Error("p is not prime")
			}
			q := new(big.Int).Rsh(p, 1)
			if !q.ProbablyPrime(0) {
				t.Error("(p-1)/2 is not prime")
			}
			if big.Jacobi(big.NewInt(2), p) != 1 {
				t.Error("2 is not a square modulo p")
			}
			if g.exponent%8 != 0 || g.exponent < 256 {
				t.Errorf("an exponent of %d bits", g.exponent)
			}
		})
	}
}

// piTimesTwoTo returns floor(2^n * pi), by pi = 16 atan(1/5) - 4 atan(1/239).
func piTimesTwoTo(n uint) *big.Int {
	const guard = 64
	unit := new(big.Int).Lsh(big.NewInt(1), n+guard)
	atan := func(x int64) *big.Int {
		power := new(big.Int).Quo(unit, big.NewInt(x))
		sum, square := new(big.Int).Set(power), big.NewInt(x*x)
		for i := int64(3); ; i += 2 {
			power.Quo(power, square)
			if power.Sign() == 0 {
				return sum
			}
			term := new(big.Int).Quo(power, big.NewInt(i))
			if i%4 == 3 {
				term.Neg(term)
			}
			sum.Add(sum, term)
		}
	}
	pi := atan(5)
	pi.Lsh(pi, 2)
	pi.Sub(pi, atan(239))
	pi.Lsh(pi, 2)
	return pi.Rsh(pi, guard)
}
