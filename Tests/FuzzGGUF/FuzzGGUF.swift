import FuzzTargets

// tools/fuzz builds this with the fuzzer, which brings the entry point; without it the program
// replays corpora.
#if FUZZ
  /// What the fuzzer calls with each input.
  @_cdecl("LLVMFuzzerTestOneInput")
  public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTargets.gguf(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
  }
#else
  @main struct Program {
    static func main() throws { try Replay.main(FuzzTargets.gguf, seeds: FuzzSeeds.gguf) }
  }
#endif
