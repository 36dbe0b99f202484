// programs
