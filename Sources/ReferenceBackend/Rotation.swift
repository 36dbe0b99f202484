import Devices

/// Each head times a normalised Hadamard matrix, block by block.
func rotate(_ rotation: HeadRotation, _ input: Matrix<Float>, into output: Matrix<Float>) {
  let width = rotation.blockWidth
  for row in 0..<input.rows {
    for start in stride(from: 0, to: input.width, by: width) {
      var block = (start..<start + width).map { input[row][$0] }
      var apart = 1
      while apart < width {
        for i in 0..<width where i & apart == 0 {
          (block[i], block[i + apart]) = (block[i] + block[i + apart], block[i] - block[i + apart])
        }
        apart *= 2
      }
      for (i, number) in block.enumerated() { output[row][start + i] = number * rotation.factor }
    }
  }
}
