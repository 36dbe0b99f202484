import COpenCL

/// What a row of the kernel table needs beyond plain OpenCL C 1.2. A row without needs serves every
/// device; one with a need is preferred where the need is met and the self-test passes.
package enum Feature: String, Sendable, Hashable, CaseIterable {
  /// Inline assembly for AVX-512 VNNI: the driver compiles for the host's processor and passes
  /// assembly on.
  case vnni
  /// The same for AVX2, whose products of bytes are sums of two.
  case avx2
  /// Private memory that is cheap, and a compiler that keeps vectors of 16 in registers: the host's
  /// processor, unless llvmpipe plays a GPU on it.
  case tiles
  /// Work-items that do much on their own, so that one launch may do what many small ones do: the host's
  /// processor again, and whoever interprets kernels on it.
  case fused
  /// Work-items are lanes, so neighbours should read what lies side by side: the device is no CPU,
  /// or its driver makes vectors of work-items.
  case lanes
  /// Lanes that multiply words of four bytes, by OpenCL C 3.0.
  case integerDot

  /// Whether programs have inline assembly with it.
  var isAssembly: Bool { self == .vnni || self == .avx2 }

  /// The language that it takes, in place of OpenCL C 1.2.
  var language: String? { self == .integerDot ? "CL3.0" : nil }
}

extension OpenCLDevices.Description {
  /// What is worth its while on this device and driver. A feature that is here may still fail the
  /// self-test.
  package var features: Set<Feature> {
    if platform == "rusticl" { return [.lanes] }
    guard isCPU else { return multipliesWords ? [.integerDot, .lanes] : [.lanes] }
    var features: Set<Feature> = [.fused]
    if platform != "Oclgrind" { features.insert(.tiles) }
    if compiles(for: Self.avx512Targets) && apus_host_has_vnni() {
      features.insert(.vnni)
    } else if multipliesPairs {
      features.insert(.avx2)
    }
    return features
  }

  /// What must work, whether or not it is fast here.
  package var testedFeatures: Set<Feature> {
    var tested = features.union(multipliesWords ? [.integerDot, .lanes] : [.lanes])
    if multipliesPairs { tested.insert(.avx2) }
    return tested
  }

  private var multipliesPairs: Bool {
    compiles(for: Self.avx2Targets + Self.avx512Targets) && apus_host_has_avx2()
  }

  /// Drivers that have the products say so by an extension, and their compiler by a macro.
  private var multipliesWords: Bool {
    language.hasPrefix("OpenCL C 3") && extensions.contains("cl_khr_integer_dot_product")
  }

  /// Whether loops end after 65,535 turns, whatever is left to do: llvmpipe's way with shaders that hang.
  var endsLongLoops: Bool { platform == "rusticl" }

  /// Whether fma is built from whole numbers: rusticl's way on devices that lack it. Other drivers for CPUs
  /// have it without saying so.
  var splitsFMA: Bool { platform == "rusticl" && !hasFMA }

  /// Whether programs without assembly ask memory for lines too: Intel's compiler makes an instruction of it.
  var prefetches: Bool { platform.hasPrefix("Intel(R) OpenCL") && isCPU }

  /// Whether cores are Intel's, which wait for few lines at a time in their first cache. Programs that ask memory for
  /// lines then ask for those far ahead into the second one, and with VNNI read one row's weights from several places at
  /// once. A Zen 5 reads 7 to 17 % more bytes from a single place.
  var hasIntelCores: Bool { isCPU && apus_host_is_intel() }

  /// Whether this is PoCL on the host's processor, compiling for one of these. PoCL names a device
  /// `<driver>-<LLVM's name of the processor>-<model>`; asked for registers that its target lacks, it ends
  /// the process.
  private func compiles(for targets: [String]) -> Bool {
    guard platform == "Portable Computing Language", isCPU else { return false }
    let parts = name.split(separator: "-", maxSplits: 1)
    guard parts.count == 2, ["pthread", "cpu", "basic"].contains(parts[0]) else { return false }
    return targets.contains { parts[1].hasPrefix($0) }
  }

  private static let avx512Targets = [
    "skylake-avx512", "cascadelake", "cooperlake", "cannonlake", "icelake", "tigerlake",
    "rocketlake", "sapphirerapids", "emeraldrapids", "graniterapids", "znver4", "znver5",
    "x86-64-v4",
  ]
  private static let avx2Targets = [
    "haswell", "broadwell", "skylake", "alderlake", "raptorlake", "meteorlake", "arrowlake",
    "lunarlake", "znver1", "znver2", "znver3", "x86-64-v3",
  ]
}
