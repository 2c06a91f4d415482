"""Stand-in until the programs are merged."""
import rp2
STAMP_CYCLES = 2
WIDTH_CYCLES = 8
MOST_WIDTH = 1 << 18
def hold(clock_hz): return 8
def pauses(rate_hz):
    dead = max(2, -(-rate_hz // 2000)); rest = max(1, -(-rate_hz * 4 // 1000))
    return dead, rest
def reader(rdata, ready, hold, chips):
    @rp2.asm_pio()
    def reader(): pass
    return reader
def reader_word(rdata, bits): return 0x12 << 24 | bits - 1 << 8
def stamp(ready):
    @rp2.asm_pio()
    def stamp(): pass
    return stamp
def schedule(ready, select, strobe):
    @rp2.asm_pio()
    def schedule(): pass
    return schedule
def pulse(ready, strobe, dead, rest, lines):
    @rp2.asm_pio()
    def pulse(): pass
    return pulse
def read_cycles(rdata, bits, clock_hz): return 20*clock_hz//1000000
